"""Every place of files does what the contract says, against real servers."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import asyncssh
import pytest

from penstock.connectors.contract import PlaceContract
from penstock.connectors.files import Files
from penstock.connectors.objects import Objects
from penstock.connectors.places import Place
from penstock.connectors.sftp import Sftp
from penstock.errors import ConnectorError, UsageError
from tests.fixtures.objects import Bucket, Cutting
from tests.fixtures.sftp import PASSWORD, Box


class TestFiles(PlaceContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        (tmp_path / "folder").mkdir()
        return Files({"folder": "folder", "complete": "name", "write": True}, root=tmp_path)


class TestSftp(PlaceContract):
    @pytest.fixture
    def place(self, sftp_box: Box) -> Place:
        for folder in ("below", "below/deep"):
            (sftp_box.folder / "out" / folder).mkdir()
        return Sftp(sftp_box.settings | {"write": True})

    @pytest.fixture(autouse=True)
    def closed(self, place: Place) -> object:
        yield
        place.close()


class TestObjects(PlaceContract):
    @pytest.fixture
    def place(self, bucket: Bucket) -> Place:
        return Objects(bucket.settings | {"write": True})


def failing(place: Place) -> tuple[str, str]:
    last = list(place.check())[-1]
    place.close()
    assert not last.ok
    assert last.advice
    assert PASSWORD not in last.says + last.advice
    return last.what, last.says


def test_a_wrong_password_is_told_and_not_tried_again(sftp_box: Box) -> None:
    place = Sftp(sftp_box.settings | {"password": "wrong"})
    what, says = failing(place)
    assert what == "connect and log in"
    assert says.endswith("refused the login of shop")
    assert "wrong" not in says
    assert sftp_box.logins == 1


def test_a_host_key_that_is_not_known_sends_no_password(sftp_box: Box, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("")
    place = Sftp(sftp_box.settings | {"host_key": None, "known_hosts": str(tmp_path / "known")})
    _, says = failing(place)
    assert sftp_box.key.get_fingerprint() in says
    assert "does not have" in says
    assert sftp_box.logins == 0


@pytest.mark.parametrize("declared", ["fingerprint", "public key", "file"])
def test_a_host_key_that_was_changed_sends_no_password(
    sftp_box: Box, tmp_path: Path, declared: str
) -> None:
    public = sftp_box.key.export_public_key().decode()
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{sftp_box.port} {public}")
    keys: dict[str, dict[str, str | None]] = {
        "fingerprint": {},
        "public key": {"host_key": public},
        "file": {"host_key": None, "known_hosts": str(known)},
    }
    settings = sftp_box.settings | keys[declared]
    first = Sftp(settings)
    assert all(one.ok for one in first.check())
    first.close()
    logins = sftp_box.logins

    sftp_box.stop()
    sftp_box.key = asyncssh.generate_private_key("ssh-ed25519")
    sftp_box.start()
    _, says = failing(Sftp(settings))
    assert "shows another key" in says
    assert sftp_box.key.get_fingerprint() in says
    assert sftp_box.logins == logins


@pytest.mark.parametrize("form", ["pkcs8-pem", "openssh"])
def test_a_key_with_a_passphrase_logs_in(sftp_box: Box, tmp_path: Path, form: str) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "id", form, passphrase="opens it")
    (tmp_path / "authorized").write_text(key.get_fingerprint())
    settings = sftp_box.settings | {"key": "id"}
    del settings["password"]
    place = Sftp(settings | {"passphrase": "opens it"}, root=tmp_path)
    assert all(one.ok for one in place.check())
    place.close()
    _, says = failing(Sftp(settings | {"passphrase": "something else"}, root=tmp_path))
    assert "passphrase is not its own" in says
    assert "something else" not in says


def test_what_is_not_there_is_told(sftp_box: Box) -> None:
    port = sftp_box.port
    assert "there is no /nope" in failing(Sftp(sftp_box.settings | {"folder": "/nope"}))[1]
    sftp_box.stop()
    unreachable = Sftp(sftp_box.settings | {"retries": 0})
    assert f"127.0.0.1:{port} cannot be reached" in failing(unreachable)[1]
    sftp_box.start()


def test_a_transfer_that_is_cut_is_tried_again_and_comes_whole(
    sftp_box: Box, tmp_path: Path
) -> None:
    content = os.urandom(3_000_000)
    (sftp_box.folder / "out" / "a.bin").write_bytes(content)
    place = Sftp(sftp_box.settings)
    (found,) = place.find("a.bin")
    sftp_box.cut_after = 1_000_000
    place.download(found, tmp_path / "here" / "a.bin")
    assert sftp_box.fired == 1
    assert (tmp_path / "here" / "a.bin").read_bytes() == content

    sftp_box.cut_after = 1_000_000
    place.close()
    once = Sftp(sftp_box.settings | {"retries": 0})
    with pytest.raises(ConnectorError) as caught:
        once.download(found, tmp_path / "gone" / "a.bin")
    assert caught.value.code == "lost"
    assert sftp_box.fired == 2
    assert list((tmp_path / "gone").iterdir()) == []
    once.close()


def test_a_disk_that_is_full_is_told_as_such(sftp_box: Box, tmp_path: Path) -> None:
    (sftp_box.folder / "out" / "a.bin").write_bytes(b"x" * 100_000)
    place = Sftp(sftp_box.settings)
    (found,) = place.find("a.bin")
    here = tmp_path / "here"
    here.mkdir()
    (here / ".a.bin.part").symlink_to("/dev/full")
    with pytest.raises(ConnectorError, match=r"a\.bin cannot be written: No space left") as caught:
        place.download(found, here / "a.bin")
    assert caught.value.code == "disk"
    assert list(here.iterdir()) == []
    place.close()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "user": "u", "password": "p"}
        place = Sftp(settings | {"host_key": "SHA256:x", "timeout": 0.5, "retries": 0})
        assert f"127.0.0.1:{port} did not answer within 0.5 s" in failing(place)[1]


def test_a_file_is_complete_when_it_is_the_same_at_two_looks(sftp_box: Box) -> None:
    out = sftp_box.folder / "out"
    (out / "still.csv").write_text("1")
    (out / "grows.csv").write_text("1")
    place = Sftp(sftp_box.settings | {"complete": "stable", "stable_seconds": 0.3})
    place.find("nothing*")
    over = threading.Event()

    def grow() -> None:
        size = 1
        while not over.wait(0.02):
            size += 1
            (out / "grows.csv").write_text("1" * size)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        assert [one.name for one in place.find("*.csv")] == ["/out/still.csv"]
    finally:
        over.set()
        writer.join()
    assert [one.name for one in place.find("*.csv")] == ["/out/grows.csv", "/out/still.csv"]
    place.close()


def test_a_file_is_complete_when_its_marker_is_there_and_both_go(sftp_box: Box) -> None:
    out = sftp_box.folder / "out"
    for name in ("a.csv", "a.csv.done", "b.csv"):
        (out / name).write_text(name)
    place = Sftp(sftp_box.settings | {"complete": "marker", "after": "delete"})
    (found,) = place.find("*")
    assert found.name == "/out/a.csv"
    assert place.finish(found) == "deleted"
    assert [path.name for path in out.iterdir()] == ["b.csv"]
    place.close()


def test_a_file_moved_where_one_of_its_name_is_gets_another(sftp_box: Box) -> None:
    out = sftp_box.folder / "out"
    (out / "done").mkdir()
    (out / "done" / "a.csv").write_text("older")
    (out / "a.csv").write_text("newer")
    place = Sftp(sftp_box.settings | {"after": "move", "move_to": "done"})
    (found,) = place.find("*.csv")
    assert place.finish(found) == "moved to /out/done/a-2.csv"
    assert (out / "done" / "a.csv").read_text() == "older"
    place.close()


def test_a_bucket_that_is_not_there_and_a_server_that_is_not(bucket: Bucket) -> None:
    nowhere = Objects(bucket.settings | {"url": "s3://nope/in"})
    assert "there is no bucket nope" in failing(nowhere)[1]
    down = Objects(bucket.settings | {"endpoint": "http://127.0.0.1:9", "retries": 0})
    assert "cannot be reached" in failing(down)[1]
    assert "testing-secret" not in failing(down)[1]


def test_an_object_whose_transfer_is_cut_comes_whole_or_not_at_all(
    bucket: Bucket, cutting: Cutting, tmp_path: Path
) -> None:
    content = os.urandom(5_000_000)
    (tmp_path / "a").write_bytes(content)
    place = Objects(bucket.settings | {"endpoint": cutting.endpoint})
    place.upload(tmp_path / "a", "a.bin")
    (found,) = place.find("*")
    cutting.after = 2_000_000
    place.download(found, tmp_path / "here" / "a.bin")
    assert cutting.fired == 1
    assert (tmp_path / "here" / "a.bin").read_bytes() == content
    place.close()

    once = Objects(bucket.settings | {"endpoint": cutting.endpoint, "retries": 0})
    cutting.after = 2_000_000
    with pytest.raises(ConnectorError) as caught:
        once.download(found, tmp_path / "gone" / "a.bin")
    assert caught.value.code == "lost"
    assert cutting.fired == 2
    assert list((tmp_path / "gone").iterdir()) == []
    once.close()


def test_an_object_is_moved_and_deleted_as_declared(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    place = Objects(bucket.settings | {"after": "move", "move_to": "done"})
    place.upload(tmp_path / "a", "x/a.csv")
    (found,) = place.find("**/*.csv")
    assert place.finish(found) == "moved to done/a.csv"
    assert place.find("**/*.csv") == []
    gone = Objects(bucket.settings | {"after": "delete"})
    (found,) = gone.find("done/*")
    gone.finish(found)
    assert Objects(bucket.settings | {"url": "s3://drops"}).find("**/*") == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"complete": "soon"}, "complete must be stable, marker or name"),
        ({"after": "move"}, "move_to belong together"),
        ({"marker": "done"}, "marker must be another name"),
        ({"user": ""}, "user is missing"),
        ({"host": ""}, "name the server by url"),
        ({"url": "ftp://shop@host/"}, "url must be like sftp://"),
        ({"hots": "x"}, "there is no setting hots; host?"),
        ({"password": 7}, "password must be a text"),
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, object], said: str) -> None:
    right = {"kind": "sftp", "host": "h", "user": "u"}
    with pytest.raises(UsageError, match=r"sftp.*") as caught:
        Sftp(right | wrong)
    assert said in caught.value.message


def test_a_url_says_it_all_and_hides_its_password() -> None:
    place = Sftp({"url": "sftp://shop:p%40ss@files.example.com:2222/out"})
    assert place.where() == "sftp://shop@files.example.com:2222/out"
    assert place.settings.password is not None
    assert place.settings.password.reveal() == "p@ss"
    assert place.settings.folder == "/out"


def test_an_endpoint_without_tls_must_be_meant() -> None:
    with pytest.raises(UsageError, match="endpoint has no TLS"):
        Objects({"url": "s3://drops", "endpoint": "http://minio:9000"})

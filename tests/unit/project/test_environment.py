"""Which settings hold, where they came from, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.model.secret import Secret
from penstock.project.environment import choose, load_config
from penstock.project.keys import ProjectKey

ENV: dict[str, Any] = {
    "project": "shop",
    "erp": {"kind": "sql", "host": "erp", "options": {"a": 1, "b": [1, 2]}},
    "dev": {"warehouse": {"kind": "postgres", "url": "embedded"}},
    "test": {"erp": {"host": "erp-test", "options": {"b": [3]}}},
    "prod": {"erp": {"password": "enc:x"}},
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PENSTOCK_ENV", "PENSTOCK_INSTALLED", "PENSTOCK_KEY", "PENSTOCK_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_dictionaries_are_merged_key_by_key_and_anything_else_is_replaced_whole(
    tmp_path: Path,
) -> None:
    found = choose(ENV, "test", tmp_path)
    assert found["erp"]["kind"] == "sql"
    assert found["erp"]["host"] == "erp-test"
    assert found["erp"]["options"]["a"] == 1
    assert found["erp"]["options"]["b"] == (3,)
    assert "warehouse" not in found
    assert found.origins["erp.host"] == "test"
    assert found.origins["erp.kind"] == "static"
    assert found.origins["erp.options.b"] == "test"


def test_an_environment_cannot_be_changed(tmp_path: Path) -> None:
    found = choose(ENV, "test", tmp_path)
    with pytest.raises(TypeError):
        found["erp"]["host"] = "other"
    assert ENV["erp"]["host"] == "erp", "nor was the dictionary of config.py"


def test_dev_is_meant_where_none_is_named_unless_the_variable_says_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose(ENV, None, tmp_path).name == "dev"
    monkeypatch.setenv("PENSTOCK_ENV", "test")
    assert choose(ENV, None, tmp_path).name == "test"
    assert choose(ENV, "dev", tmp_path).name == "dev"


def test_an_unknown_environment_is_an_error_that_names_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'live'.*dev, test, prod"):
        choose(ENV, "live", tmp_path)
    with pytest.raises(UsageError, match="neither dev, test nor prod"):
        choose({"project": "x"}, None, tmp_path)


def test_a_secret_is_encrypted_and_decrypted_with_the_key_of_the_project(tmp_path: Path) -> None:
    key = ProjectKey("shop")
    key.make()
    assert key.path == tmp_path / "config" / "penstock" / "shop.key"
    assert key.path.stat().st_mode & 0o777 == 0o600
    env = {**ENV, "prod": {"erp": {"password": key.encrypt(Secret("geheim"))}}}
    found = choose(env, "prod", tmp_path)
    assert found["erp"]["password"].reveal() == "geheim"
    assert "geheim" not in repr(found)
    assert "geheim" not in f"{found['erp']['password']}"
    assert found.origins["erp.password"] == "encrypted"


def test_a_renewed_key_still_reads_what_the_old_one_wrote(tmp_path: Path) -> None:
    key = ProjectKey("shop")
    key.make()
    old = key.encrypt(Secret("one"))
    key.renew()
    assert key.decrypt(old).reveal() == "one"
    new = key.encrypt(Secret("two"))
    key.forget_old()
    assert key.decrypt(new).reveal() == "two"
    with pytest.raises(UsageError, match="another key, or cut or altered"):
        key.decrypt(old)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-5],
        lambda t: t[:20] + ("B" if t[20] == "A" else "A") + t[21:],
        lambda t: "enc:",
    ],
)
def test_what_was_cut_or_altered_is_a_clear_error_without_any_value(
    tmp_path: Path, change: Any
) -> None:
    key = ProjectKey("shop")
    key.make()
    text = change(key.encrypt(Secret("geheim")))
    env = {**ENV, "prod": {"erp": {"password": text}}}
    with pytest.raises(UsageError, match=r"erp\.password: it cannot be decrypted") as said:
        choose(env, "prod", tmp_path)
    assert "geheim" not in str(said.value)
    assert text[4:20] not in str(said.value) or len(text) < 20


def test_no_key_and_a_readable_key_are_errors_that_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no key for shop: copy .*shop\.key"):
        choose(ENV, "prod", tmp_path)
    key = ProjectKey("shop")
    key.make()
    key.path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        choose(ENV, "prod", tmp_path)


def test_plain_text_is_silent_in_dev_warned_of_in_test_and_refused_in_prod(tmp_path: Path) -> None:
    def plain(name: str) -> dict[str, Any]:
        return {"project": "shop", name: {"erp": {"password": "geheim"}}}

    assert choose(plain("dev"), "dev", tmp_path).warnings == ()
    warned = choose(plain("test"), "test", tmp_path).warnings
    assert [w for w in warned if w.startswith("erp.password is in plain text")]
    with pytest.raises(UsageError, match=r"erp\.password is in plain text.*main\.py -p") as said:
        choose(plain("prod"), "prod", tmp_path)
    assert "geheim" not in str(said.value)


def test_a_url_with_a_password_from_outside_is_not_in_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DSN", "postgresql://me:geheim@h/d")
    for name in ("dev", "test", "prod"):
        found = choose({name: {"db": {"url": "env:SHOP_DSN"}}}, name, tmp_path)
        assert found["db"]["url"].reveal() == "postgresql://me:geheim@h/d"
        assert not [w for w in found.warnings if "plain text" in w]
        assert "geheim" not in repr(found)


def test_an_installation_refuses_plain_text_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_INSTALLED", "1")
    env = {"dev": {"a": {"token": "t"}, "b": {"url": "sftp://u:pw@h/x"}}}
    with pytest.raises(UsageError) as said:
        choose(env, "dev", tmp_path)
    assert str(said.value).count("is in plain text") == 2, "all of them at once"


def test_the_password_of_a_url_is_a_secret_too(tmp_path: Path) -> None:
    key = ProjectKey("shop")
    key.make()
    secret = key.encrypt(Secret("p@ss"))
    env = {"project": "shop", "prod": {"db": {"url": f"postgresql://me:{secret}@h/d"}}}
    found = choose(env, "prod", tmp_path)["db"]["url"]
    assert found.reveal() == "postgresql://me:p@ss@h/d"
    plain = {"prod": {"db": {"url": "postgresql://me:pw@h/d"}}}
    with pytest.raises(UsageError, match=r"db\.url is in plain text"):
        choose(plain, "prod", tmp_path)
    assert choose({"prod": {"db": {"url": "sftp://me@h/d"}}}, "prod", tmp_path)["db"]["url"] == (
        "sftp://me@h/d"
    )


def test_values_come_from_variables_dot_env_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("ERP_HOST=erp.example.com\nERP_PASSWORD=from-dot-env\n")
    (tmp_path / "token").write_text("abc\n")
    monkeypatch.setenv("ERP_PASSWORD", "from-the-process")
    env = {
        "prod": {
            "erp": {"host": "env:ERP_HOST", "password": "env:ERP_PASSWORD"},
            "crm": {"token": "file:token"},
        }
    }
    found = choose(env, "prod", tmp_path)
    assert found["erp"]["host"] == "erp.example.com"
    assert found["erp"]["password"] == Secret("from-the-process")
    assert found["crm"]["token"].reveal() == "abc"
    assert found.origins["crm.token"] == "file:token"


def test_what_cannot_be_fetched_is_listed_all_at_once(tmp_path: Path) -> None:
    env = {"dev": {"a": {"host": "env:NOT_SET_HERE"}, "b": {"token": "file:nowhere"}}}
    with pytest.raises(UsageError) as said:
        choose(env, "dev", tmp_path)
    assert "a.host: the variable NOT_SET_HERE is not set" in str(said.value)
    assert "b.token: " in str(said.value)
    assert "cannot be read" in str(said.value)


def test_a_provider_of_ones_own_is_an_object_with_one_method(tmp_path: Path) -> None:
    class Backwards:
        def fetch(self, reference: str) -> str:
            return reference[::-1]

    env = {"providers": {"back": Backwards()}, "prod": {"a": {"password": "back:terces"}}}
    assert choose(env, "prod", tmp_path)["a"]["password"].reveal() == "secret"


def test_a_secret_is_neither_shown_nor_pickled() -> None:
    secret = Secret("geheim")
    assert repr(secret) == str(secret) == f"{secret}" == "***"
    assert "geheim" not in repr({"password": secret})
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_config_py_is_read_and_its_mistakes_are_told_without_a_trace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.py"):
        load_config(tmp_path)
    (tmp_path / "config.py").write_text("env = {'dev': {}}\n")
    assert load_config(tmp_path) == {"dev": {}}
    (tmp_path / "config.py").write_text("env = 1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        load_config(tmp_path)
    (tmp_path / "config.py").write_text("other = 1\n")
    with pytest.raises(UsageError, match="no dictionary env"):
        load_config(tmp_path)

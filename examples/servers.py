"""An SFTP server and a mail server to try things against: `python servers.py start`.

They listen on this machine only, and keep all they have in the folder `servers`:

- `servers/sftp`: what clients see as `/`, with a folder `out`; they log in as `shop`.
- `servers/mails`: every mail that came, as `1.eml`, `2.eml`, and what was attached in `1/`.

`start` writes where they are into `.env`, which a project reads. Not for: anything but trying.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
from aiosmtpd.smtp import SMTP, Envelope

T = TypeVar("T")
USER, PASSWORD = "shop", "shop"
_FOLDER = Path("servers")
_SECONDS = 20


class Servers:
    """Both servers, in a thread of this process, until `close`.

    Args:
        folder: Where they keep what they have.

    Attributes:
        out: What clients of the SFTP server see as `/out`.
        mails: Where mails go.
        variables: Where the servers are, for `.env`.
    """

    def __init__(self, folder: Path) -> None:
        self.out, self.mails = folder / "sftp" / "out", folder / "mails"
        for one in (self.out, self.mails):
            one.mkdir(parents=True, exist_ok=True)
        self._root, self._key = folder / "sftp", _host_key(folder / "host_key")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.variables = self._do(self._listen())

    @property
    def count(self) -> int:
        """How many mails came."""
        return len(list(self.mails.glob("*.eml")))

    def close(self) -> None:
        """Listen no more."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        """Called by the mail server for each mail."""
        content = envelope.original_content or b""
        keep(self.mails, self.count + 1, content)
        return "250 taken"

    async def _listen(self) -> dict[str, str]:
        self._sftp = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._key],
            server_factory=_Login,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, os.fsencode(self._root)),
        )
        self._smtp = await self._loop.create_server(lambda: SMTP(self), "127.0.0.1", 0)
        return {
            "SFTP_PORT": str(self._sftp.get_port()),
            "SFTP_HOST_KEY": self._key.get_fingerprint(),
            "SMTP_PORT": str(self._smtp.sockets[0].getsockname()[1]),
        }

    async def _stop(self) -> None:
        self._sftp.close()
        self._smtp.close()
        await self._sftp.wait_closed()
        others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=5)

    def _do(self, action: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(_SECONDS)


class _Login(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


def _host_key(path: Path) -> asyncssh.SSHKey:
    """The key that the server shows; the same at each start."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    return asyncssh.read_private_key(path)


def keep(folder: Path, number: int, content: bytes) -> None:
    """Write a mail as `NUMBER.eml`, and what was attached into `NUMBER/`."""
    for one in read(content).iter_attachments():
        (folder / str(number)).mkdir(exist_ok=True)
        path = folder / str(number) / Path(one.get_filename() or "attachment").name
        attached = one.get_payload(decode=True)
        path.write_bytes(attached if isinstance(attached, bytes) else b"")
    (folder / f"{number}.eml").write_bytes(content)


def read(content: bytes) -> EmailMessage:
    """A mail from its bytes."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101  that is what this policy makes
    return message


def show(folder: Path) -> None:
    """Print every mail that came, as text."""
    paths = sorted(folder.glob("*.eml"), key=lambda path: int(path.stem))
    print("1 mail" if len(paths) == 1 else f"{len(paths)} mails")
    for path in paths:
        message = read(path.read_bytes())
        body = message.get_body(("plain",))
        print(f"\nTo: {message['To']}\nSubject: {message['Subject']}")
        for one in message.iter_attachments():
            print(f"Attached: {folder / path.stem / (one.get_filename() or '')}")
        print(f"\n{body.get_content().rstrip() if body is not None else ''}")


def start(folder: Path) -> None:
    """Start both in a process of their own."""
    folder.mkdir(exist_ok=True)
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    log = (folder / "log").open("wb")
    words = [sys.executable, __file__, "run"]
    subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    end = time.monotonic() + _SECONDS
    while not ready.is_file():
        if time.monotonic() > end:
            raise SystemExit(f"They did not start: see {folder / 'log'}")
        time.sleep(0.05)
    print(ready.read_text(encoding="utf-8"), end="")


def run(folder: Path) -> None:
    """Be both servers until `stop`; says in `.env` where they are."""
    servers = Servers(folder)
    dot_env, names = Path(".env"), tuple(f"{name}=" for name in servers.variables)
    kept = dot_env.read_text(encoding="utf-8").splitlines() if dot_env.is_file() else []
    lines = [line for line in kept if not line.startswith(names)]
    lines += [f"{name}={value}" for name, value in servers.variables.items()]
    dot_env.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "pid").write_text(str(os.getpid()), encoding="utf-8")
    told = (
        f"SFTP: 127.0.0.1, port {servers.variables['SFTP_PORT']}, its folder is {folder}/sftp\n"
        f"Mail: 127.0.0.1, port {servers.variables['SMTP_PORT']}, it comes to {folder}/mails\n"
        f"Both ports, and the key that the SFTP server shows, are in {dot_env}.\n"
    )
    (folder / "ready.part").write_text(told, encoding="utf-8")
    (folder / "ready.part").rename(folder / "ready")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    servers.close()


def stop(folder: Path) -> None:
    """End the process of `start`."""
    path = folder / "pid"
    if path.is_file():
        os.kill(int(path.read_text(encoding="utf-8")), signal.SIGTERM)
        path.unlink()
    print("Stopped.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("start", "mails", "stop", "run"))
    what = parser.parse_args().what
    if what == "mails":
        show(_FOLDER / "mails")
    else:
        {"start": start, "run": run, "stop": stop}[what](_FOLDER)

"""Mail by SMTP, with TLS and login. Not for: what a mail says (`alerts`), nor when it goes."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path
from typing import Any

from penstock.connectors.protocol import Check, tried
from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError
from penstock.model.secret import Secret

#: Ports where no other is given (RFC 6409, RFC 8314).
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
#: What stands in an address or around it: enough to tell one from a name, and from two lines.
_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """How mail is sent.

    Attributes:
        host: The mail server.
        to: Who gets mail that is for nobody in particular.
        sender: The address that it comes from; default: `user`, where that is an address.
        user: For the login; None: without one.
        password: For the login.
        port: Default: 587 with `starttls`, 465 with `tls`, 25 with `none`.
        security: `starttls` (default), `tls` from the first byte, or `none`.
        ca_file: Certificates that are trusted instead of the system's.
        timeout: Seconds for each step.
        lists: Names of lists of addresses, for `job.catch(..., to="pricing")`.
    """

    host: str
    to: tuple[str, ...]
    sender: str = ""
    user: str | None = None
    password: Secret | None = None
    port: int | None = None
    security: str = "starttls"
    ca_file: str | None = None
    timeout: float = 30.0
    lists: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.security not in _PORTS:
            raise ValueError(f"security must be starttls, tls or none, not {self.security!r}")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        for address in (*self.to, self.address):
            if not _is_address(address):
                raise ValueError(f"{address!r} is no mail address (to, sender)")

    @property
    def address(self) -> str:
        """The address that mail comes from."""
        return self.sender or self.user or ""


class Smtp:
    """A mail server.

    Args:
        settings: As in `env["mail"]`; see `SmtpSettings`.
        name: Its key in `env`.
        root: The project's root, where a relative `ca_file` begins.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "mail", root: Path = Path()
    ) -> None:
        self.name = name
        self._root = root
        self.settings = read_settings(SmtpSettings, settings, name)

    def where(self) -> str:
        """`smtp://host:port`."""
        return f"smtp://{self.settings.host}:{self._port}"

    def recipients(self, to: str | tuple[str, ...] | list[str] | None = None) -> tuple[str, ...]:
        """Addresses behind a list's name, an address, several, or None: those of `to`.

        Raises:
            ConnectorError: There is no list of that name, or what is given is no address.
        """
        found = self._listed(to)
        for one in found:
            if not _is_address(one):
                raise ConnectorError(f"{self.name}: {one!r} is no mail address", code="no_address")
        return found

    def _listed(self, to: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
        if to is None:
            return self.settings.to
        if not isinstance(to, str):
            return tuple(to)
        if "@" in to:
            return (to,)
        lists = self.settings.lists or {}
        if to not in lists:
            known = ", ".join(sorted(lists)) or "none are set"
            raise ConnectorError(
                f"{self.name}: there is no list {to!r} of addresses",
                code="no_list",
                advice=f'Known lists: {known}. Set env["{self.name}"]["lists"]["{to}"].',
            )
        found = lists[to]
        return (found,) if isinstance(found, str) else tuple(found)

    def message(self, subject: str, text: str, to: tuple[str, ...]) -> EmailMessage:
        """A message with its addresses, date and id; a line break in the subject is a blank."""
        message = EmailMessage()
        message["From"] = self.settings.address
        message["To"] = ", ".join(to)
        message["Subject"] = " ".join(subject.split())
        message["Date"] = formatdate(localtime=True)
        message["Message-ID"] = make_msgid(domain=parseaddr(self.settings.address)[1].split("@")[1])
        message.set_content(text)
        return message

    def send(self, message: EmailMessage) -> None:
        """Send it; the server has taken it when this returns.

        Raises:
            ConnectorError: It was not sent, or the server took it for some recipients only.
        """
        refused = self._sent(message, None)
        if refused:
            raise ConnectorError(
                f"{self.where()} refused {', '.join(refused)}; the others have the mail",
                code="recipients",
                advice="Correct these addresses.",
            )

    def send_bytes(self, message: bytes, to: Sequence[str]) -> list[str]:
        """Send a message that was kept as its bytes.

        Args:
            message: As `EmailMessage.as_bytes` gave it.
            to: Who still has to have it.

        Returns:
            Those whom the server refused, where it took it for others.

        Raises:
            ConnectorError: It was not sent to anybody.
        """
        return self._sent(message_from_bytes(message, policy=policy.default), to)

    def _sent(self, message: Message, to: Sequence[str] | None) -> list[str]:
        with self._session() as session:
            return sorted(session.send_message(message, to_addrs=to))

    def check(self) -> Iterator[Check]:
        """Connect, encrypt, log in, and really send one mail to `to`."""
        return tried(("connect and log in", self._log_in), ("send a mail", self._send_one))

    def close(self) -> None:
        """Nothing is held between two mails."""

    def _log_in(self) -> str:
        with self._session():
            who = self.settings.user or "without login"
            return f"{self.where()}, {self.settings.security}, {who}"

    def _send_one(self) -> str:
        text = "This mail shows that Penstock can send mail from here. Nothing has to be done.\n"
        self.send(self.message("Penstock: a test of mail", text, self.settings.to))
        return f"to {', '.join(self.settings.to)}"

    @property
    def _port(self) -> int:
        return self.settings.port or _PORTS[self.settings.security]

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        its = self.settings
        try:
            with self._connected() as session:
                if its.security == "starttls":
                    session.starttls(context=self._trust())
                if its.user is not None and its.password is not None:
                    session.login(its.user, its.password.reveal())
                yield session
        except (smtplib.SMTPException, OSError) as error:
            raise self._told(error) from None

    def _connected(self) -> smtplib.SMTP:
        its = self.settings
        if its.security == "tls":
            return smtplib.SMTP_SSL(
                its.host, self._port, timeout=its.timeout, context=self._trust()
            )
        return smtplib.SMTP(its.host, self._port, timeout=its.timeout)

    def _trust(self) -> ssl.SSLContext:
        named = self.settings.ca_file
        path = None if named is None else self._root / named
        if path is not None and not path.is_file():
            raise ConnectorError(f"{self.name}: there is no file {path}", code="ca_file")
        return ssl.create_default_context(cafile=path)

    def _told(self, error: Exception) -> ConnectorError:
        where = self.where()
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return ConnectorError(
                f"{where} refused the login of {self.settings.user}",
                code="login",
                advice="Check user and password; some servers want an application password.",
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return ConnectorError(
                f"{where}: the certificate is not trusted: {error.verify_message}",
                code="certificate",
                advice="Have it renewed, or trust its authority with ca_file.",
            )
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return ConnectorError(
                f"{where}: {error}",
                code="unsupported",
                advice='Set security to "tls", or to "none" inside a trusted network.',
            )
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return ConnectorError(
                f"{where} refused {', '.join(sorted(error.recipients))}",
                code="recipients",
                advice="Correct these addresses.",
            )
        if isinstance(error, smtplib.SMTPResponseException):
            said = error.smtp_error
            text = said.decode(errors="replace") if isinstance(said, bytes) else said
            return ConnectorError(f"{where} answered {error.smtp_code} {text}", code="smtp")
        # smtplib tells a silence after the greeting as a connection that was closed.
        silent = isinstance(error, smtplib.SMTPServerDisconnected) and "timed out" in str(error)
        if silent or isinstance(error, TimeoutError):
            return ConnectorError(
                f"{where} did not answer within {self.settings.timeout:g} s",
                code="timeout",
                advice="Check host, port and firewall.",
            )
        if isinstance(error, smtplib.SMTPServerDisconnected):
            return ConnectorError(
                f"{where} went away: {error}", code="lost", advice="Try again, or ask its keeper."
            )
        return ConnectorError(
            f"{where} cannot be reached: {error}",
            code="connect",
            advice="Check host, port and firewall.",
        )


def _is_address(text: str) -> bool:
    plain = not re.search(r"[\x00-\x1f\x7f]", text)
    return plain and _ADDRESS.fullmatch(parseaddr(text)[1]) is not None

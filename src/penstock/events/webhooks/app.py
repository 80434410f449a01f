"""What the receiver answers to a request, as an ASGI application. Not for: sockets (`server`).

Each body it sends is constant: it tells nothing of sources, secrets or faults. A source that is not
known is treated as one whose signature is wrong, with the same work.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.events.encrypting import Cipher
from penstock.events.sources import Identified
from penstock.events.staging import Delivery
from penstock.events.webhooks.batching import GroupCommit, Unavailable
from penstock.events.webhooks.limits import Limits
from penstock.events.webhooks.rates import Rate
from penstock.events.webhooks.schemes import STANDARD, Scheme
from penstock.events.webhooks.signatures import TOLERANCE, delivery_id, verify
from penstock.model.secret import Secret

#: Seconds after which a sender may try again; most wait longer by themselves.
RETRY_AFTER = 5

#: Bytes of a body that takes milliseconds to encrypt.
_LONG = 64 << 10
#: The secrets of a source that is not known: nothing is verified with them.
_NOBODY: tuple[Secret, ...] = (Secret(""),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """A source that is received, and where to.

    Attributes:
        number: Of the source in the ledger.
        scheme: How its sender signs.
        secrets: One, or two during a rotation.
        tolerance: Seconds that a signed time may be early or late.
        identified: What tells its events apart where the scheme has no id.
        max_bytes: Of the longest body.
        into: Writes it.
        cipher: Encrypts its personal fields, where it has some.
        rate: How often it may send; None: as often as it likes.
    """

    number: int
    scheme: Scheme
    secrets: tuple[Secret, ...]
    tolerance: float
    identified: Identified
    max_bytes: int
    into: GroupCommit
    cipher: Cipher | None = None
    rate: Rate | None = None


class _Answer:
    """A whole response, the same each time."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        self.status = status
        body = f"{text}\n".encode() if text else b""
        told = {
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(body)),
            "x-content-type-options": "nosniff",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        pairs = [(name.encode(), value.encode()) for name, value in told.items()]
        self._start: Message = {"type": "http.response.start", "status": status, "headers": pairs}
        self._body: Message = {"type": "http.response.body", "body": body}

    async def send(self, send: Send) -> None:
        await send(self._start)
        await send(self._body)


_ACCEPTED = _Answer(200, "")  # head and body would be two writes: a fifth of the work
_ALIVE = _Answer(200, "alive")
_READY = _Answer(200, "ready")
_BAD = _Answer(400, "bad request", connection="close")
_REFUSED = _Answer(401, "not accepted")
_LATE = _Answer(408, "too slow", connection="close")
_TOO_LARGE = _Answer(413, "too large")
_ENCODED = _Answer(415, "send the body without Content-Encoding")
_HEAD_TOO_LARGE = _Answer(431, "too many or too long headers", connection="close")
_FAULT = _Answer(500, "fault", connection="close")
_LATER = _Answer(503, "try again later", retry_after=str(RETRY_AFTER))


def _too_many(seconds: float) -> _Answer:
    return _Answer(429, "too many requests", retry_after=str(math.ceil(seconds)))


#: All that there are, but for those of other paths and methods.
ANSWERS = (
    *(_ACCEPTED, _ALIVE, _READY, _BAD, _REFUSED, _LATE, _TOO_LARGE, _ENCODED, _HEAD_TOO_LARGE),
    *(_FAULT, _LATER, _too_many(RETRY_AFTER)),
)


class _Ended(Exception):
    """The request cannot be taken: with this answer, or none where its sender is gone."""

    def __init__(self, answer: _Answer | None) -> None:
        super().__init__()
        self.answer = answer


@dataclass(slots=True, kw_only=True)
class Receiver:
    """Answers requests: `POST /in/SOURCE`, `GET /health`, `GET /ready`.

    Attributes:
        sources: By the last part of their address.
        limits: What a request may cost.
        say: Tells people of faults.
        clock: Seconds since 1970.
        answers: How often each status was answered to `POST /in/SOURCE`.
        working: Requests that are being answered.
        held: Bytes of bodies in memory.
    """

    sources: Mapping[str, Receiving]
    limits: Limits
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    answers: Counter[int] = field(default_factory=Counter)
    working: int = 0
    held: int = 0
    _most_bytes: int = 0

    def __post_init__(self) -> None:
        sizes = [one.max_bytes for one in self.sources.values()]
        # One limit for all until it is known who sends, or the limit would tell what sources exist.
        self._most_bytes = max(sizes, default=self.limits.body)

    def writers(self) -> list[GroupCommit]:
        """Those that write for the sources."""
        return list({id(one.into): one.into for one in self.sources.values()}.values())

    async def answered(self, scope: Scope, receive: Receive) -> _Answer | None:
        """What is answered to a delivery; None: its sender is gone."""
        try:
            body = await self._body(scope["headers"], receive)
        except _Ended as ended:
            return ended.answer
        try:
            return await self._judged(scope["path_params"]["source"], scope["headers"], body)
        finally:
            self.held -= len(body)

    async def _judged(
        self, name: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> _Answer:
        source = self.sources.get(name)
        scheme, secrets, tolerance = STANDARD, _NOBODY, TOLERANCE
        if source is not None:
            scheme, secrets, tolerance = source.scheme, source.secrets, source.tolerance
        try:
            verified = verify(scheme, headers, body, secrets, self.clock(), tolerance=tolerance)
        except Exception as error:  # noqa: BLE001  what cannot be verified is not accepted
            self.say(f"A signature could not be verified: {type(error).__name__}.")
            return _REFUSED
        if source is None or verified is None:
            return _REFUSED
        if len(body) > source.max_bytes:
            return _TOO_LARGE
        if source.rate is not None and (seconds := source.rate.wait()):
            self._exceeded(name, source.rate)
            return _too_many(seconds)
        known_as = delivery_id(scheme, verified, body, source.identified)
        delivery = Delivery(known_as, body)
        if source.cipher is not None:
            kept = await _encrypted(source.cipher, body)
            delivery = Delivery(known_as, kept, encrypted=True)
        try:
            async with asyncio.timeout(self.limits.commit_seconds):
                await source.into.stage(source.number, delivery)
        except (Unavailable, TimeoutError):
            return _LATER
        return _ACCEPTED

    def _exceeded(self, name: str, rate: Rate) -> None:
        """Tell people once."""
        if not rate.exceeded:
            rate.exceeded = True
            self.say(f"{name} sends more than {rate.per_second:g} requests a second: it is slowed.")

    async def _body(self, headers: Sequence[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """The body, which counts as held.

        Raises:
            _Ended: It is too long, too slow, encoded, or its sender is gone.
        """
        if any(n == b"content-encoding" and v.lower() != b"identity" for n, v in headers):
            raise _Ended(_ENCODED)
        if any(n == b"content-length" and int(v) > self._most_bytes for n, v in headers):
            raise _Ended(_TOO_LARGE)
        chunks: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise _Ended(None)
                    chunk = message.get("body", b"")
                    chunks.append(chunk)
                    length += len(chunk)
                    self.held += len(chunk)
                    if length > self._most_bytes:
                        raise _Ended(_TOO_LARGE)
                    if self.held > self.limits.held:
                        raise _Ended(_LATER)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except (TimeoutError, _Ended) as ended:
            self.held -= length
            raise _Ended(ended.answer if isinstance(ended, _Ended) else _LATE) from None

    async def are_ready(self) -> bool:
        """Whether what is received now would be written."""
        try:
            async with asyncio.timeout(self.limits.commit_seconds):
                for writer in self.writers():
                    await writer.ready()
        except (Unavailable, TimeoutError):
            return False
        return True

    def unforeseen(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Tell of an error that no request is to blame for."""
        del loop
        self.say(f"The receiver: {type(context.get('exception')).__name__}.")


async def _encrypted(cipher: Cipher, body: bytes) -> bytes:
    """A body as it is staged; nobody else waits while a long one is read."""
    if len(body) < _LONG:
        return cipher.encrypt(body)
    return await asyncio.to_thread(cipher.encrypt, body)


def application(receiver: Receiver) -> ASGIApp:
    """The ASGI application; while it runs, so do the receiver's writers."""

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        del app
        # Else asyncio would log traces of what strangers provoke.
        asyncio.get_running_loop().set_exception_handler(receiver.unforeseen)
        for writer in receiver.writers():
            writer.start()
        yield
        for writer in receiver.writers():
            await writer.close()

    routes = [
        Route("/in/{source}", _Intake(receiver), methods=["POST"]),
        Route("/health", _Health(), methods=["GET"]),
        Route("/ready", _Ready(receiver), methods=["GET"]),
    ]
    # Another path is another path; and errors are the guard's.
    app = Router(routes, redirect_slashes=False, lifespan=lifespan)
    return _Guard(app, receiver)


@dataclass(slots=True)
class _Intake:
    receiver: Receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.receiver.answered(scope, receive)
        if answer is not None:
            self.receiver.answers[answer.status] += 1
            await answer.send(send)


class _Health:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _ALIVE.send(send)


@dataclass(slots=True)
class _Ready:
    receiver: Receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (_READY if await self.receiver.are_ready() else _LATER).send(send)


@dataclass(slots=True)
class _Guard:
    """Refuses what no request should look like, and answers what nobody foresaw."""

    app: ASGIApp
    receiver: Receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (answer := self._refusal(scope["headers"])) is not None:
            await answer.send(send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self.receiver.working += 1
        try:
            await self.app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001  the sender must not see it, people must
            self.receiver.say(f"A request could not be answered: {type(error).__name__}.")
            if not begun:
                await _FAULT.send(send)
        finally:
            self.receiver.working -= 1

    def _refusal(self, headers: Sequence[tuple[bytes, bytes]]) -> _Answer | None:
        limits = self.receiver.limits
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if len(headers) > limits.headers or size > limits.head:
            return _HEAD_TOO_LARGE
        names = {name for name, _ in headers}
        if b"content-length" in names and b"transfer-encoding" in names:
            return _BAD  # two lengths: what one server takes for a body another takes for a request
        if self.receiver.working >= limits.connections:
            return _LATER
        return None

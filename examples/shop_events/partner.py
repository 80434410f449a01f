"""The partner: posts its events as Standard Webhooks, signed, over a few connections.

It sends again what was not answered 200, as a sender should, and some of what was. Somebody else
posts without the secret. Not for: receiving them (`penstock serve`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

KEY = b"shared with the partner alone..."
SECRET = "whsec_" + base64.b64encode(KEY).decode()
_CONNECTIONS = 4
#: Every so many events are sent once more though they were answered, or by somebody else.
_AGAIN, _FORGED = 20, 50
_PATIENCE = 30.0


def post_all(url: str, bodies: Sequence[bytes]) -> Counter[int]:
    """Post all of them to `penstock serve`; gives how often which status was answered."""
    parts = [
        [(f"msg_{number}", body) for number, body in enumerate(bodies)][first::_CONNECTIONS]
        for first in range(_CONNECTIONS)
    ]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        found = pool.map(_post_part, itertools.repeat(url), parts)
        return sum(found, Counter[int]())


def signed(known_as: str, body: bytes, key: bytes = KEY) -> dict[str, str]:
    """The headers that prove who posts this, and when."""
    now = str(int(time.time()))
    made = hmac.digest(key, f"{known_as}.{now}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": known_as,
        "webhook-timestamp": now,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def _post_part(url: str, messages: Sequence[tuple[str, bytes]]) -> Counter[int]:
    answered: Counter[int] = Counter()
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.netloc), timeout=_PATIENCE)

    def post(body: bytes, headers: dict[str, str]) -> int:
        connection.request("POST", address.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        answered[answer.status] += 1
        return answer.status

    for number, (known_as, body) in enumerate(messages):
        end = time.monotonic() + _PATIENCE
        while post(body, signed(known_as, body)) != 200:
            if time.monotonic() > end:
                raise SystemExit(f"{known_as} was not taken")
            time.sleep(0.2)
        if number % _AGAIN == 0:
            post(body, signed(known_as, body))
        if number % _FORGED == 0:
            post(body, signed(known_as, body, b"a key of somebody else"))
    connection.close()
    return answered

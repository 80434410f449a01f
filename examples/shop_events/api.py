"""The shop's API of events, on this machine only, which misbehaves as APIs do.

`GET /events?since=TIME&after=MARK&limit=N` gives events in the order in which they were stored. Of
the first pages that it is asked for, one is answered by 429, one by 500, and one with the page
before it. Some events are stored late: their `created_at` lies before that of others that were
there already. Not for: anything but trying.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "demo"  # noqa: S105  of a server that only this machine can reach
#: Which events are stored late.
_LATE = slice(-8, -1, 3)


class Api:
    """The server, in a thread of this process, until `close`.

    Args:
        events: All there are, by `created_at`.

    Attributes:
        variables: Where it is, and its token, for the settings.
        troubles: What it did wrong, and how often.
    """

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._stored = list(events)
        self._late = self._stored[_LATE]
        del self._stored[_LATE]
        self.troubles = {"429": 0, "500": 0, "page twice": 0, "late events": len(self._late)}
        self._asked = 0
        self._last: dict[str, Any] = {"data": [], "next": None}
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.answer(self)

            def log_message(self, *_: object) -> None:
                """It says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.variables = {
            "API_URL": f"http://127.0.0.1:{self._server.server_address[1]}",
            "API_TOKEN": TOKEN,
        }
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def store_late(self) -> None:
        """The late events are there from now on."""
        with self._lock:
            self._stored += self._late
            self._late = []

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        parts = urlsplit(handler.path)
        with self._lock:
            if handler.headers.get("authorization") != f"Bearer {TOKEN}":
                status, said = 401, {"error": "the token is wrong"}
            elif parts.path != "/events":
                status, said = 404, {"error": f"nothing is at {parts.path}"}
            else:
                status, said = self._page(dict(parse_qsl(parts.query)))
        content = json.dumps(said).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        if status == 429:
            handler.send_header("Retry-After", "1")
        handler.end_headers()
        handler.wfile.write(content)

    def _page(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self._asked += 1
        if self._asked == 2:
            return self._trouble("429"), {"error": "too many requests"}
        if self._asked == 4:
            return self._trouble("500"), {"error": "something broke"}
        if self._asked == 7:
            self._trouble("page twice")
            return 200, self._last
        begin, since = int(asked.get("after", 0)), asked.get("since", "")
        found = [
            (place, one)
            for place, one in enumerate(self._stored, start=1)
            if place > begin and one["created_at"] >= since
        ]
        page = found[: int(asked["limit"])]
        following = str(page[-1][0]) if len(found) > len(page) else None
        self._last = {"data": [one for _, one in page], "next": following}
        return 200, self._last

    def _trouble(self, name: str) -> int:
        self.troubles[name] += 1
        return int(name) if name.isdigit() else 200

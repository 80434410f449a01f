"""A CRM to try things against, over HTTP, on this machine only: it keeps records by their key.

`POST /companies/batch` takes up to 25 records and answers for each: a company whose domain ends
with `.invalid` is refused, the others are made or changed. Not for: anything but trying.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "demo"  # noqa: S105  of a server that only this machine can reach
_KEYS = {"companies": "code", "contacts": "email"}
_MOST = 25


class Crm:
    """The server, in a thread of this process, until `close`.

    Args:
        file: Where its records are kept.

    Attributes:
        records: Module -> key -> record.
        variables: Where it is, and its token, for the settings.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.records: dict[str, dict[str, Any]] = {name: {} for name in _KEYS}
        if file.is_file():
            self.records = json.loads(file.read_text(encoding="utf-8"))
        self._lock = threading.Lock()
        crm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                crm.answer(self, None)

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                crm.answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, *_: object) -> None:
                """It says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.variables = {
            "CRM_URL": f"http://127.0.0.1:{self._server.server_address[1]}",
            "CRM_TOKEN": TOKEN,
        }
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Keep the records, and listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self.records, indent=1), encoding="utf-8")

    def answer(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        """One request."""
        parts = urlsplit(handler.path)
        module, _, what = parts.path.strip("/").partition("/")
        status, said = 404, {"error": f"nothing is at {parts.path}"}
        if handler.headers.get("authorization") != f"Bearer {TOKEN}":
            status, said = 401, {"error": "the token is wrong"}
        elif module in _KEYS and body is not None and what == "batch":
            status, said = self._batch(module, body["inputs"])
        elif module in _KEYS and not what:
            wanted = dict(parse_qsl(parts.query)).get(_KEYS[module], "")
            found = self.records[module].get(wanted)
            status, said = 200, {"data": [found] if found else []}
        content = json.dumps(said).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _batch(self, module: str, inputs: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        if len(inputs) > _MOST:
            return 400, {"error": f"more than {_MOST} records"}
        with self._lock:
            return 200, {"results": [self._upsert(module, one) for one in inputs]}

    def _upsert(self, module: str, record: dict[str, Any]) -> dict[str, Any]:
        domain = str(record.get("domain", ""))
        if domain.endswith(".invalid"):
            return {"success": False, "error": f"{domain} is no domain"}
        records, key = self.records[module], record[_KEYS[module]]
        created = key not in records
        number = records[key]["id"] if not created else f"{module[:3]}-{len(records) + 1}"
        records[key] = {**record, "id": number}
        return {"success": True, "id": number, "created": created}

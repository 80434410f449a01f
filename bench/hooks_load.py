"""Posts signed bodies of 1 KB to a receiver, and says how long that took; with a rate, how late.

python -P bench/hooks_load.py penstock|hand FOLDER REQUESTS CONNECTIONS [RATE]
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

_SECRET = "whsec_" + base64.b64encode(b"bench" * 8).decode()
_BODY = 1024


def requests(count: int, port: int) -> list[bytes]:
    """Whole requests, each with an id of its own."""
    key, made = base64.b64decode(_SECRET.removeprefix("whsec_")), []
    moment, run = str(int(time.time())), uuid.uuid4().hex[:8]
    for number in range(count):
        name = f"{run}_{number:09}"
        body = json.dumps({"id": name, "kind": "view"}).ljust(_BODY).encode()
        signed = hmac.new(key, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
        head = (
            f"POST /in/partner HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"webhook-id: {name}\r\nwebhook-timestamp: {moment}\r\n"
            f"webhook-signature: v1,{base64.b64encode(signed).decode()}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def answers(port: int) -> None:
    """Wait until a receiver listens, at most 30 seconds."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens at port {port}")


async def post(
    port: int,
    every: list[bytes],
    connections: int,
    rate: float,
    accepted: dict[str, float] | None = None,
) -> list[float]:
    """Post them; gives the seconds of each, from when it was due; notes when each was accepted."""
    took: list[float] = []
    left = iter(enumerate(every))
    began = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, request in left:
            due = began + number / rate if rate else time.perf_counter()
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(size)
            now = time.perf_counter()
            took.append(now - due)
            if accepted is not None:
                name = request.partition(b"webhook-id: ")[2].split(b"\r\n", 1)[0]
                accepted[name.decode()] = now
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return took


def main() -> int:
    what, folder, count, connections, *more = sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    here = Path(__file__).parent
    command = [sys.executable, "-P", str(here / "insert_app.py"), str(port), _SECRET]
    if what == "penstock":
        program = str(Path(sys.executable).with_name("penstock"))
        command = [program, "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        answers(port)
        every = requests(int(count), port)
        warm = requests(50, port)
        asyncio.run(post(port, warm, 5, 0))
        began = time.perf_counter()
        took = asyncio.run(post(port, every, int(connections), float(more[0]) if more else 0))
        seconds = time.perf_counter() - began
    finally:
        server.terminate()
        server.wait()
    late = sorted(took)[int(len(took) * 0.99)]
    print(json.dumps({"seconds": late if more else seconds, "steps": {}}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

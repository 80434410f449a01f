"""What is written by hand: each signed body is inserted and committed before it is answered.

PENSTOCK_DSN=... python -P bench/insert_app.py PORT SECRET
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

#: Connections that take turns.
_POOL = 8


def application(secret: bytes) -> Starlette:
    pool: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()

    @asynccontextmanager
    async def opened(app: Starlette) -> AsyncIterator[None]:
        del app
        for _ in range(_POOL):
            pool.put_nowait(
                await psycopg.AsyncConnection.connect(os.environ["PENSTOCK_DSN"], autocommit=True)
            )
        yield
        while not pool.empty():
            await pool.get_nowait().close()

    async def take(request: Request) -> Response:
        body = await request.body()
        name, moment = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = hmac.new(secret, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
        given = request.headers["webhook-signature"].removeprefix("v1,")
        if not hmac.compare_digest(base64.b64encode(signed).decode(), given):
            return Response(status_code=401)
        connection = await pool.get()
        try:
            await connection.execute(
                "insert into hand_made (id, raw) values (%s, %s) on conflict do nothing",
                [name, body],
            )
        finally:
            pool.put_nowait(connection)
        return Response("ok")

    return Starlette(routes=[Route("/in/partner", take, methods=["POST"])], lifespan=opened)


if __name__ == "__main__":
    key = base64.b64decode(sys.argv[2].removeprefix("whsec_"))
    uvicorn.run(application(key), port=int(sys.argv[1]), log_level="error")

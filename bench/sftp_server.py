"""An SFTP server on a folder, for keys only. Prints its port, and serves until it is ended.

python -P bench/sftp_server.py FOLDER HOST_KEY AUTHORIZED_KEYS
"""

from __future__ import annotations

import asyncio
import sys

import asyncssh


async def serve(folder: str, key: str, authorized: str) -> None:
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[key],
        authorized_client_keys=authorized,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=folder.encode()),
    )
    print(acceptor.get_port(), flush=True)
    await acceptor.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))

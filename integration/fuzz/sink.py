"""A server that swallows what it is sent; it prints its port. The attacker's own cost is measured on it.

It answers the first bytes with zeros, for the attackers that wait for an answer before they go on.
"""

from __future__ import annotations

import asyncio
import contextlib

ANSWER_BYTES = 128


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(bytes(ANSWER_BYTES))
        while await reader.read(1 << 16):
            pass
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

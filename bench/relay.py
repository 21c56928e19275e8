"""A way to the upstream that takes time: `python -m bench.relay PORT ...` prints its own ports.

It accepts connections at once, so TCP's handshake costs nothing here, unlike in a real network.
"""

import asyncio
import contextlib
import sys
from asyncio import StreamReader, StreamWriter

ROUND_TRIP_S = 0.05


async def _carry(reader: StreamReader, writer: StreamWriter) -> None:
    """Pass everything on, half a round trip later."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            loop.call_later(ROUND_TRIP_S / 2, writer.write, data)
    loop.call_later(ROUND_TRIP_S / 2, writer.close)


async def _listen(target: int) -> int:
    """Relay to a port of loopback; returns the port that leads there."""

    async def relay(reader: StreamReader, writer: StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))

    server = await asyncio.start_server(relay, "127.0.0.1")
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _serve(targets: list[int]) -> None:
    print(*[await _listen(target) for target in targets], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve([int(port) for port in sys.argv[1:]]))

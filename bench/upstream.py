"""The upstream of the benchmark: fixed bytes, and as little work for them as asyncio allows.

Runs as a process of its own (`python -m bench.upstream`), which prints its port.
"""

import asyncio
import re

from bench.messages import ANSWERS, NAMESPACE, Answer

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = re.compile(NAMESPACE.encode() + rb"(\w+)")


class _Connection(asyncio.Protocol):
    """One connection, one request at a time: nobody pipelines here."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        if len(self._received) < head_end + int(length[1] if length else 0):
            return
        name = _ANSWER.search(self._received, head_end)
        self._write(ANSWERS[name[1].decode() if name else "models"], 0)
        self._received.clear()

    def _write(self, answer: Answer, index: int) -> None:
        """Write from the piece at `index` up to the next pause."""
        writes = answer.writes
        while index < len(writes) and not self._transport.is_closing():
            self._transport.write(writes[index])
            index += 1
            if answer.pause_s and index < len(writes):
                asyncio.get_running_loop().call_later(answer.pause_s, self._write, answer, index)
                return


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())

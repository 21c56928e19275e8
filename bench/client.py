"""The load generator: an HTTP/1.1 client that does no more than is needed to time an answer."""

import asyncio
import re
import time
from typing import NamedTuple, Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"  # inside our JSON and events there is no CR


class WrongAnswer(Exception):
    """An answer was not what the upstream had sent, or there was none."""


class Reply(NamedTuple):
    """Times are those of `time.perf_counter`, in seconds: first byte and last byte of the body."""

    head: bytes
    body: bytes
    first_at: float
    last_at: float


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    _transport: asyncio.Transport
    _reply: asyncio.Future[Reply]

    def __init__(self) -> None:
        self._received = bytearray()
        self._head_end = self._length = 0
        self._first_at = 0.0

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect on loopback; OSError if nobody listens."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(cls, "127.0.0.1", port)
        return client

    async def ask(self, request: bytes, body: bytes) -> Reply:
        """Send a request; WrongAnswer unless the reply is a 200 with exactly this body."""
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        reply = await self._reply
        if not reply.head.startswith(b"HTTP/1.1 200 ") or reply.body != body:
            shown = (reply.head + reply.body[:500]).decode("utf-8", "backslashreplace")
            raise WrongAnswer(f"{len(reply.body)} bytes, not the upstream's {len(body)}:\n{shown}")
        return reply

    def close(self) -> None:
        self._transport.close()

    # What asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._reply = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._reply.done():
            self._reply.set_exception(WrongAnswer(f"connection lost ({exc or 'closed'})"))
            self._reply.exception()  # nobody may be waiting any more

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self._head_end:
            self._read_head()
        if self._head_end and len(self._received) > self._head_end:
            self._first_at = self._first_at or now
            if self._is_complete():
                self._finish(now)

    def _read_head(self) -> None:
        self._head_end = self._received.find(b"\r\n\r\n") + 4
        if self._head_end < 4:
            self._head_end = 0
            return
        length = _LENGTH.search(self._received, 0, self._head_end)
        self._length = int(length[1]) if length else 0

    def _is_complete(self) -> bool:
        if self._length:
            return len(self._received) >= self._head_end + self._length
        return self._received.endswith(_LAST_CHUNK)

    def _finish(self, now: float) -> None:
        head, body = self._received[: self._head_end], self._received[self._head_end :]
        if not self._length:
            body = _unchunked(body)
        reply = Reply(bytes(head), bytes(body), self._first_at, now)
        self._received.clear()
        self._head_end = self._length = 0
        self._first_at = 0.0
        if not self._reply.done():
            self._reply.set_result(reply)


def _unchunked(wire: bytearray) -> bytearray:
    """The body without the framing of its chunks."""
    body, at = bytearray(), 0
    while (line_end := wire.find(b"\r\n", at)) > 0:
        size = int(wire[at:line_end], 16)
        body += wire[line_end + 2 : line_end + 2 + size]
        at = line_end + 2 + size + 2
    return body

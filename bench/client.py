"""The load generator: HTTP/1.1 with no more work than is needed to time an answer."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from bench.messages import STAMP, Request
from bench.roads import Address, WrongAnswer, connected

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"  # behind a 0 there are no two empty lines in anybody's events


@dataclass
class Reply:
    """Times are those of `time.perf_counter`, in seconds: first byte and last byte of the body.

    `wire` is the body as it came, in chunks if `is_chunked`. `delays_s` tells how long each piece
    with a stamp was on its way.
    """

    is_ok: bool = False
    is_chunked: bool = False
    wire: bytes = b""
    first_at: float = 0.0
    last_at: float = 0.0
    delays_s: list[float] = field(default_factory=list)

    def see(self, data: bytes, now: float) -> None:
        """Note when data came that is part of the body."""
        self.first_at = self.first_at or now
        self.last_at = now
        self.delays_s += [now - int(stamp[1:]) / 1e6 for stamp in STAMP.findall(data)]

    @cached_property
    def body(self) -> bytes:
        if not self.is_chunked:
            return self.wire
        pieces, at = [], 0
        while (line_end := self.wire.find(b"\r\n", at)) > 0:
            size = int(self.wire[at:line_end], 16)
            pieces.append(self.wire[line_end + 2 : line_end + 2 + size])
            at = line_end + 2 + size + 2
        return b"".join(pieces)


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    _transport: asyncio.Transport
    _authority: str

    def __init__(self) -> None:
        self._received = bytearray()
        self._head_end = self._length = 0
        self._reply = Reply()
        self._done = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, address: Address) -> Self:
        """OSError if nobody listens, WrongAnswer if there is no tunnel."""
        client = await connected(cls, address, "http/1.1")
        client._authority = address.authority
        return client

    async def ask(self, request: Request) -> Reply:
        """Send a request; WrongAnswer if the connection is lost before the end of the reply."""
        self._reply, self._done = Reply(), asyncio.get_running_loop().create_future()
        self._transport.write(request.head(self._authority) + request.body)
        await self._done
        return self._reply

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    # What asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(WrongAnswer(f"connection lost ({exc or 'closed'})"))
            self._done.exception()  # nobody may be waiting any more

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self._head_end:
            self._read_head()
        if self._head_end and len(self._received) > self._head_end:
            self._reply.see(data, now)
            if self._is_complete():
                self._finish()

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

    def _finish(self) -> None:
        self._reply.is_ok = self._received.startswith(b"HTTP/1.1 200 ")
        self._reply.is_chunked = not self._length
        self._reply.wire = bytes(self._received[self._head_end :])
        self._received.clear()
        self._head_end = self._length = 0
        if not self._done.done():
            self._done.set_result(None)

"""The load generator for HTTP/2: many requests at a time over one connection."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from bench.client import Reply
from bench.messages import PATH, Request
from bench.roads import Address, WrongAnswer, connected


class Http2Client(asyncio.Protocol):
    """One connection; its requests and answers are small enough never to wait for a window."""

    _transport: asyncio.Transport
    _authority: str

    def __init__(self) -> None:
        self._http2 = H2Connection(H2Configuration(header_encoding=None))
        self._replies: dict[int, Reply] = {}
        self._open: set[int] = set()
        self._done = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, address: Address) -> Self:
        """OSError if nobody listens, WrongAnswer if there is no tunnel."""
        client = await connected(cls, address, "h2")
        client._authority = address.authority
        return client

    async def ask(self, requests: Sequence[Request]) -> tuple[float, list[Reply]]:
        """Send all at once; tells when, and their replies. WrongAnswer if one is broken off."""
        for request in requests:
            number = self._http2.get_next_available_stream_id()
            self._replies[number] = Reply()
            fields = [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", self._authority),
                (":path", PATH),
                *request.fields,
            ]
            self._http2.send_headers(number, fields)
            self._http2.send_data(number, request.body, end_stream=True)
        self._open = set(self._replies)
        started = time.perf_counter()
        self._flush()
        await self._done
        return started, list(self._replies.values())

    def close(self) -> None:
        self._transport.close()

    # What asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"connection lost ({exc or 'closed'})")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        for event in self._http2.receive_data(data):
            match event:
                case ResponseReceived(stream_id=int(number), headers=list(fields)):
                    self._replies[number].is_ok = (b":status", b"200") in fields
                case DataReceived(stream_id=int(number), data=bytes(piece)):
                    self._replies[number].wire += piece
                    self._replies[number].see(piece, now)
                    self._http2.acknowledge_received_data(event.flow_controlled_length, number)
                case StreamEnded(stream_id=int(number)):
                    self._open.discard(number)
                    if not self._open and not self._done.done():
                        self._done.set_result(None)
                case StreamReset() | ConnectionTerminated():
                    self._fail(str(event))
        self._flush()

    def _fail(self, problem: str) -> None:
        if not self._done.done():
            self._done.set_exception(WrongAnswer(problem))
            self._done.exception()  # nobody may be waiting any more

    def _flush(self) -> None:
        self._transport.write(self._http2.data_to_send())

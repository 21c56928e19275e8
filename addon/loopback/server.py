"""An HTTP/1.1 server on loopback that plays a scripted response to each request.

h11 parses the requests. Responses are written as raw bytes: an HTTP library would refuse to send
most of the faults that a test needs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import h11

from addon.loopback.script import ReceivedRequest, ScriptedResponse

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing the socket sends RST."""


class Server:
    """Plays the response that `respond` returns for each request."""

    port: int
    url: str
    _server: asyncio.Server

    def __init__(self, respond: Callable[[ReceivedRequest], ScriptedResponse]) -> None:
        self.connections = 0
        """How many connections were accepted in all."""
        self._respond = respond
        self._live: set[_Connection] = set()

    async def listen(
        self, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        # One address family: with two, `localhost` would listen on two different ports.
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, host, port, family=socket.AF_INET, ssl=ssl_context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if ssl_context else 'http'}://{host}:{self.port}"

    async def close(self) -> None:
        """Stop listening and abort every connection."""
        self._server.close()
        live = tuple(self._live)
        for connection in live:
            connection.abort()
        await asyncio.gather(*(connection.task for connection in live), return_exceptions=True)

    @property
    def open_connections(self) -> int:
        return len(self._live)

    def _connection(self) -> _Connection:
        self.connections += 1
        return _Connection(self.connections, self._respond, self._live)


class _Connection(asyncio.Protocol):
    """One TCP connection; one task reads its requests and plays the responses in turn.

    asyncio sets TCP_NODELAY.
    """

    task: asyncio.Task[None]
    _transport: asyncio.Transport

    def __init__(
        self,
        serial: int,
        respond: Callable[[ReceivedRequest], ScriptedResponse],
        live: set[_Connection],
    ) -> None:
        self._serial = serial
        self._respond = respond
        self._live = live
        self._parser = h11.Connection(h11.SERVER)
        self._has_data = asyncio.Event()
        self._is_writable = asyncio.Event()
        self._is_writable.set()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._live.add(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._parser.receive_data(data)
        self._has_data.set()

    def eof_received(self) -> None:
        # Our clients never half-close, so the client has gone.
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._live.discard(self)
        self.task.cancel()

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    # Called by steps

    async def send(self, data: bytes) -> None:
        self._transport.write(data)
        await self._is_writable.wait()

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        peer: socket.socket = self._transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()

    # Requests and responses

    async def _serve(self) -> None:
        try:
            while not self._transport.is_closing():
                request = await self._receive()
                is_last = self._parser.their_state is h11.MUST_CLOSE
                await self._play(self._respond(request))
                if is_last:
                    return
                self._renew_parser()
        except h11.RemoteProtocolError:
            self._transport.write(_BAD_REQUEST)
        finally:
            self._transport.close()

    async def _receive(self) -> ReceivedRequest:
        head = await self._next_event()
        pieces = []
        while isinstance(event := await self._next_event(), h11.Data):
            pieces.append(event.data)
        return ReceivedRequest(
            connection=self._serial,
            method=head.method.decode("ascii"),
            path=head.target.decode("latin-1"),
            headers=tuple(
                (name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers
            ),
            body=b"".join(pieces),
        )

    async def _next_event(self) -> Any:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            self._has_data.clear()
            await self._has_data.wait()
        return event

    async def _play(self, response: ScriptedResponse) -> None:
        for step in response.wire_steps:
            await step.play(self)
            if self._transport.is_closing():
                return

    def _renew_parser(self) -> None:
        # h11 did not see the response, so it cannot start the next cycle.
        early, _ = self._parser.trailing_data
        self._parser = h11.Connection(h11.SERVER)
        if early:
            self._parser.receive_data(early)

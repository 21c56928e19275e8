"""The simulator's server: HTTP/1.1 on loopback, scripted answers first, simulated vendors else.

h11 parses the requests. Answers are written byte by byte as their steps say, since a well-behaved
HTTP library would refuse most of the faults that are to be simulated.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Self

import h11

from addon.simulator.gemini import Gemini
from addon.simulator.openrouter import OpenRouter
from addon.simulator.wire import Answer, Received, json_answer

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER switched on with no time to linger: closing the socket sends RST."""


class Simulator:
    """The one fake upstream: OpenRouter, Gemini, and every fault that a test can script.

    `start` and `close` belong to the event loop; all the rest is safe in any thread.
    """

    port: int
    url: str
    _server: asyncio.Server

    def __init__(self, delay_s: float, keep_requests: int) -> None:
        self.connections = 0
        """How many connections were ever accepted."""
        self._requests: deque[Received] = deque(maxlen=keep_requests)
        self._scripts: defaultdict[str | None, deque[Answer]] = defaultdict(deque)
        self._vendors: dict[str, Callable[[Received], Answer]] = {
            "/api/v1/": OpenRouter(delay_s).answer,
            "/v1beta/": Gemini(delay_s).answer,
        }
        self._live: set[_Connection] = set()

    @classmethod
    async def start(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        *,
        delay_s: float = 0.03,
        keep_requests: int = 1000,
    ) -> Self:
        """Listen; `delay_s` is the time between two words, the last `keep_requests` are kept."""
        simulator = cls(delay_s, keep_requests)
        loop = asyncio.get_running_loop()
        # One address family: `localhost` has two, which would listen on two different ports.
        simulator._server = await loop.create_server(
            simulator._connection, host, port, family=socket.AF_INET, ssl=ssl_context
        )
        simulator.port = simulator._server.sockets[0].getsockname()[1]
        simulator.url = f"{'https' if ssl_context else 'http'}://{host}:{simulator.port}"
        return simulator

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.close()
        live = tuple(self._live)
        for connection in live:
            connection.abort()
        await asyncio.gather(*(connection.task for connection in live), return_exceptions=True)

    @property
    def openrouter_url(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def gemini_url(self) -> str:
        return f"{self.url}/v1beta"

    @property
    def requests(self) -> list[Received]:
        """The recorded requests, oldest first."""
        return list(self._requests)

    @property
    def open_connections(self) -> int:
        return len(self._live)

    def script(self, *answers: Answer, path: str | None = None) -> None:
        """Queue answers: to the next POSTs, or to the next requests for `path` (no query)."""
        self._scripts[path].extend(answers)

    def _connection(self) -> _Connection:
        self.connections += 1
        return _Connection(self.connections, self._respond, self._live)

    def _respond(self, request: Received) -> Answer:
        self._requests.append(request)
        return self._scripted(request) or self._simulated(request)

    def _scripted(self, request: Received) -> Answer | None:
        path = request.path.partition("?")[0]
        for key in (path, None) if request.method == "POST" else (path,):
            if queue := self._scripts.get(key):
                return queue.popleft()
        return None

    def _simulated(self, request: Received) -> Answer:
        for prefix, answer in self._vendors.items():
            if request.path.startswith(prefix):
                return answer(request)
        return json_answer({"error": {"message": "Not Found", "code": 404}}, 404)


class _Connection(asyncio.Protocol):
    """One TCP connection; a single task reads its requests and plays the answers in turn.

    asyncio has set TCP_NODELAY already.
    """

    task: asyncio.Task[None]
    _transport: asyncio.Transport

    def __init__(
        self, serial: int, respond: Callable[[Received], Answer], live: set[_Connection]
    ) -> None:
        self._serial = serial
        self._respond = respond
        self._live = live
        self._parser = h11.Connection(h11.SERVER)
        self._has_news = asyncio.Event()
        self._is_writable = asyncio.Event()
        self._is_writable.set()

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._live.add(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._parser.receive_data(data)
        self._has_news.set()

    def eof_received(self) -> None:
        # No client of ours half-closes: it is gone, even if there is more to write.
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._live.discard(self)
        self.task.cancel()

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    # What steps do.

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

    # Requests and answers.

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

    async def _receive(self) -> Received:
        head = await self._next_event()
        pieces = []
        while isinstance(event := await self._next_event(), h11.Data):
            pieces.append(event.data)
        return Received(
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
            self._has_news.clear()
            await self._has_news.wait()
        return event

    async def _play(self, answer: Answer) -> None:
        for step in answer.wire:
            await step.play(self)
            if self._transport.is_closing():
                return

    def _renew_parser(self) -> None:
        # h11 did not see our answer, so that it cannot go on to the next request by itself.
        early, _ = self._parser.trailing_data
        self._parser = h11.Connection(h11.SERVER)
        if early:
            self._parser.receive_data(early)

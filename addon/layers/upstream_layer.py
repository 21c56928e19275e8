"""Layers for the connection to an upstream: one of the pool's, and an ear for any of them."""

import logging
from collections.abc import Callable

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import RegisterHttpConnection
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.tunnel import TunnelLayer

from addon.exchange.exchange import Exchange
from addon.exchange.upstream_request import on_wire
from addon.layers.deps import LayerDeps
from addon.layers.http1 import UpstreamHttp1
from addon.layers.pooled_server import OpenPooledServer, PooledServer

logger = logging.getLogger(__name__)

# What an upstream says about a stream.
SERVER_EVENTS = (
    ResponseHeaders,
    ResponseData,
    ResponseTrailers,
    ResponseEndOfMessage,
    ResponseProtocolError,
)


class PooledConnection(layer.Layer):
    """HTTP/1.1 over a lease, until that is had; afterwards the `client` stands for itself."""

    def __init__(
        self, context: Context, deps: LayerDeps, handler: ConnectionHandler, *, needs_new: bool
    ) -> None:
        super().__init__(context)
        self.client = UpstreamHttp1(context)
        self.pooled = PooledServer(
            deps, handler, context.server, lambda: self.client.stream_id is None
        )
        self._needs_new = needs_new

    def _is_idle(self) -> bool:
        return self.client.stream_id is None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from self.client.handle_event(event)
        if isinstance(event, events.Start):
            error = yield OpenPooledServer(self.pooled, needs_new=self._needs_new)
            yield RegisterHttpConnection(self.context.server, error)


class UpstreamConnection(layer.Layer):
    """An upstream connection's layers, with an ear for which streams still belong to it.

    The credential is put onto the heads of requests here.

    A claimed stream may put its next attempt on the very connection that tells it of the end of an
    answer, so it is told only when the connection is ready for that.
    """

    def __init__(
        self,
        inner: layer.Layer,
        pooled: PooledServer | None,
        exchange_of: Callable[[int], Exchange | None],
    ) -> None:
        self.context = inner.context  # no layer of its own in the stack
        self.pooled = pooled
        self._inner = inner
        self._exchange_of = exchange_of
        self._waiting: set[int] = set()
        self._parted: set[int] = set()
        self._has_served = pooled is not None and pooled.is_reused
        self._unheard: set[int] = set()
        self._has_ended = self._has_failed = False
        self._is_suspect = False

    def part(self, stream_id: int, is_complete: bool) -> None:
        """Nothing that is still said about a stream is to be heard.

        If its answer `is_complete`, the stream may be put on the same connection again.
        """
        self._waiting.discard(stream_id)
        http2 = self._http2()
        if http2 is None:
            if not is_complete:  # else there is nothing more to come, and the connection is as new
                self._parted.add(stream_id)
        elif (number := http2.our_stream_id.pop(stream_id, None)) is not None:
            # Else a retry would be taken for the old stream. No stream of ours has the id 0.
            http2.their_stream_id[number] = 0

    def is_stale_for(self, stream_id: int) -> bool:
        """Whether the stream is not its first, and nothing has been heard since its request.

        If such a connection ends, it most likely was given up while it waited.
        """
        return stream_id in self._unheard

    def has_lost_its_end(self, connection: Connection) -> bool:
        """Whether it cannot be read from any more since the last look, and nobody has said so."""
        if self._has_ended or connection.state & ConnectionState.CAN_READ:
            return False
        was_suspect, self._is_suspect = self._is_suspect, True
        return was_suspect

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, HttpEvent):  # what goes wrong in there is not the upstream's fault
            yield from self._handle(event)
        elif not self._has_failed:
            try:
                yield from self._handle(event)
            except Exception:
                logger.exception("Internal error while reading from an upstream; closing it")
                yield from self._fail()

    _handle_event = handle_event

    def _handle(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            self._has_served = True
            self._unheard.clear()
        elif isinstance(event, RequestHeaders):
            self._begin(event)
        elif isinstance(event, RequestProtocolError):
            self._waiting.discard(event.stream_id)
        elif isinstance(event, events.ConnectionClosed):
            self._has_ended = True
        ends = []
        for command in self._inner.handle_event(event):
            if isinstance(command, ReceiveHttp):
                stream_id = command.event.stream_id
                if stream_id in self._parted:
                    continue
                if isinstance(command.event, ResponseEndOfMessage) and self._exchange_of(stream_id):
                    ends.append(command)
                    continue
                if isinstance(command.event, ResponseEndOfMessage | ResponseProtocolError):
                    self._waiting.discard(stream_id)
            yield command
        for command in ends:
            self._waiting.discard(command.event.stream_id)
            yield command

    def _fail(self) -> layer.CommandGenerator[None]:
        """No more can be read: an error at once for each stream that waits, and no new ones."""
        self._has_failed = True
        yield commands.CloseConnection(wire_of(self._inner))
        waiting, self._waiting = self._waiting, set()
        for stream_id in waiting - self._parted:
            message = "what it sent cannot be read; see the proxy's log"
            code = ErrorCode.GENERIC_SERVER_ERROR
            yield ReceiveHttp(ResponseProtocolError(stream_id, message, code))

    def _begin(self, event: RequestHeaders) -> None:
        self._waiting.add(event.stream_id)
        if self._has_served:
            self._unheard.add(event.stream_id)
        exchange = self._exchange_of(event.stream_id)
        if exchange and exchange.upstream:
            credential = exchange.upstream.call.request.credential
            is_http2 = self.context.server.alpn == b"h2"
            event.request = on_wire(event.request, credential, is_http2=is_http2)

    def _http2(self) -> Http2Client | None:
        inner: layer.Layer | None = self._inner
        while inner is not None and not isinstance(inner, Http2Client):
            inner = getattr(inner, "child_layer", None)
        return inner


def wire_of(stack: layer.Layer) -> Connection:
    """The connection that has a socket, below whatever is tunnelled through it."""
    return stack.tunnel_connection if isinstance(stack, TunnelLayer) else stack.context.server

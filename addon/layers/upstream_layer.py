"""Layers for upstream connections: a pooled HTTP/1.1 layer, and one that tracks open streams."""

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

from addon.exchange.credentials import ClientCredentials
from addon.exchange.exchange import Exchange
from addon.exchange.upstream_request import with_credential
from addon.layers.deps import LayerDeps
from addon.layers.http1 import UpstreamHttp1
from addon.layers.pooled_server import OpenPooledServer, PooledServer
from backends.errors import INTERRUPTS

logger = logging.getLogger(__name__)

SERVER_EVENTS = (
    ResponseHeaders,
    ResponseData,
    ResponseTrailers,
    ResponseEndOfMessage,
    ResponseProtocolError,
)
"""Events that an upstream causes in a stream."""


class PooledHttp1Layer(layer.Layer):
    """Opens a pooled server for HTTP/1.1. Once that is open, `client` takes this layer's place."""

    def __init__(
        self,
        context: Context,
        deps: LayerDeps,
        handler: ConnectionHandler,
        *,
        needs_new: bool,
        queued: Callable[[int], int],
    ) -> None:
        """`queued`: bytes of a stream that wait for the client's HTTP/2 window."""
        super().__init__(context)
        self.client = UpstreamHttp1(context)
        self.pooled = PooledServer(deps, handler, context.server, self._is_idle, self._queued)
        self._queued_of = queued
        self._needs_new = needs_new

    def _is_idle(self) -> bool:
        return self.client.stream_id is None

    def _queued(self) -> int:
        stream_id = self.client.stream_id
        return 0 if stream_id is None else self._queued_of(stream_id)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from self.client.handle_event(event)
        if isinstance(event, events.Start):
            error = yield OpenPooledServer(self.pooled, needs_new=self._needs_new)
            yield RegisterHttpConnection(self.context.server, error)


class UpstreamLayer(layer.Layer):
    """Wraps an upstream connection's layers and tracks which streams wait for a response.

    - It drops events of streams that have detached: a retry may use the same connection.
    - It adds credentials to request heads, the proxy's or the client's. No flow holds them.
    - It delivers the end of a response last. A claimed stream may send its next attempt on this
      very connection, which must be ready for it.
    - An exception of the layers inside becomes an error for each waiting stream.
    """

    _has_ended = False
    """The close event has come."""
    _has_failed = False
    """The layers inside raised an exception; they get no more events."""
    _seen_closed = False
    """`missed_close_event` has found the connection closed once."""

    def __init__(
        self,
        inner: layer.Layer,
        pooled: PooledServer | None,
        exchange_of: Callable[[int], Exchange | None],
        credentials_of: Callable[[int], ClientCredentials | None],
    ) -> None:
        self.context = inner.context  # no layer of its own in the stack
        self.pooled = pooled
        self._inner = inner
        self._exchange_of = exchange_of
        self._credentials_of = credentials_of
        self._has_served = pooled is not None and pooled.is_reused
        self._waiting: set[int] = set()  # streams whose response is not complete
        self._awaiting_first_byte: set[int] = set()  # only those that reuse the connection
        self._detached: set[int] = set()

    def detach(self, stream_id: int, is_complete: bool) -> None:
        """Drop all further events of a stream.

        If its response `is_complete`, the stream may use the same connection again.
        """
        self._waiting.discard(stream_id)
        http2 = self._http2()
        if http2 is None:
            if not is_complete:  # else nothing more comes
                self._detached.add(stream_id)
        elif (number := http2.our_stream_id.pop(stream_id, None)) is not None:
            # Else a retry would continue the old HTTP/2 stream. No client stream has the id 0.
            http2.their_stream_id[number] = 0

    def is_stale_for(self, stream_id: int) -> bool:
        """Nothing has come on this reused connection since the stream's request.

        If it closes now, the upstream most likely had dropped it while it was idle.
        """
        return stream_id in self._awaiting_first_byte

    def missed_close_event(self, connection: Connection) -> bool:
        """The connection was closed at the last call already, and no event has said so."""
        if self._has_ended or connection.state & ConnectionState.CAN_READ:
            return False
        was_seen_closed, self._seen_closed = self._seen_closed, True
        return was_seen_closed

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, HttpEvent):  # sent by a stream: an exception is not the upstream's
            yield from self._handle(event)
        elif not self._has_failed:
            try:
                yield from self._handle(event)
            except INTERRUPTS:
                raise
            except BaseException:
                logger.exception("Internal error while reading from an upstream; closing it")
                yield from self._fail()

    _handle_event = handle_event

    def _handle(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            self._has_served = True
            self._awaiting_first_byte.clear()
        elif isinstance(event, RequestHeaders):
            self._on_request(event)
        elif isinstance(event, RequestProtocolError):
            self._waiting.discard(event.stream_id)
        elif isinstance(event, events.ConnectionClosed):
            self._has_ended = True
        completions = []
        for command in self._inner.handle_event(event):
            if isinstance(command, ReceiveHttp):
                stream_id = command.event.stream_id
                if stream_id in self._detached:
                    continue
                if isinstance(command.event, ResponseEndOfMessage) and self._exchange_of(stream_id):
                    completions.append(command)
                    continue
                if isinstance(command.event, ResponseEndOfMessage | ResponseProtocolError):
                    self._waiting.discard(stream_id)
            yield command
        for command in completions:
            self._waiting.discard(command.event.stream_id)
            yield command

    def _fail(self) -> layer.CommandGenerator[None]:
        """Close the connection and report an error to each waiting stream."""
        self._has_failed = True
        yield commands.CloseConnection(transport_connection(self._inner))
        waiting, self._waiting = self._waiting, set()
        for stream_id in waiting - self._detached:
            message = "its response cannot be read; see the proxy's log"
            code = ErrorCode.GENERIC_SERVER_ERROR
            yield ReceiveHttp(ResponseProtocolError(stream_id, message, code))

    def _on_request(self, event: RequestHeaders) -> None:
        self._waiting.add(event.stream_id)
        if self._has_served:
            self._awaiting_first_byte.add(event.stream_id)
        exchange = self._exchange_of(event.stream_id)
        if exchange and exchange.upstream:
            credential = exchange.upstream.call.request.credential
            is_http2 = self.context.server.alpn == b"h2"
            event.request = with_credential(event.request, credential, is_http2=is_http2)
        elif credentials := self._credentials_of(event.stream_id):
            event.request = credentials.to_send(event.request, self.context.server)

    def _http2(self) -> Http2Client | None:
        inner: layer.Layer | None = self._inner
        while inner is not None and not isinstance(inner, Http2Client):
            inner = getattr(inner, "child_layer", None)
        return inner


def transport_connection(stack: layer.Layer) -> Connection:
    """The connection that has a socket, below any tunnel."""
    return stack.tunnel_connection if isinstance(stack, TunnelLayer) else stack.context.server

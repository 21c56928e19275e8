"""The HTTP layer of a client connection: makes streams, routes events, chooses connections."""

import logging
import time
from collections.abc import Iterable
from itertools import chain

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
)
from mitmproxy.proxy.layers.http._events import ResponseHeaders
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server

from addon.exchange.credentials import ClientCredentials
from addon.exchange.exchange import Exchange
from addon.layers import tls
from addon.layers.connect import notice_death
from addon.layers.deps import LayerDeps, Tick
from addon.layers.http1 import ClientHttp1, replace_client
from addon.layers.http_stream import LlmHttpStream
from addon.layers.pooled_server import (
    RESUME_UNSENT,
    OpenPooledServer,
    PooledServer,
    handler_of,
    writer_of,
)
from addon.layers.upstream_layer import PooledHttp1Layer, UpstreamLayer, transport_connection
from backends.errors import INTERRUPTS, internal_error

logger = logging.getLogger(__name__)

MAX_TICKS_LATE = 3
"""A tick that takes more intervals starts the clocks of the timeouts again."""
PROGRESS_INTERVAL_S = 0.5
"""Each update makes mitmweb compute a digest of the response."""


class LlmHttpLayer(HttpLayer):
    """Makes our streams, ticks while one is running, and forgets failed upstream connections.

    Inside a CONNECT tunnel there are two of these: the outer one, which speaks to mitmproxy's
    connection handler, and the one of the tunnelled HTTP.
    """

    def __init__(self, context: Context, mode: HTTPMode, deps: LayerDeps) -> None:
        super().__init__(context, mode)
        self.deps = deps
        self._wakeup: commands.RequestWakeup | None = None
        self._wakeup_requested_at = 0.0
        self._pooled_servers: dict[Connection, PooledServer] = {}
        self._connecting: dict[Connection, float] = {}  # the first tick that saw it, monotonic
        self._waiting: list[GetHttpConnection] = []  # all of `max_connections` are in use

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        stream = LlmHttpStream(self.context.fork(), stream_id, self.deps, self._upstream)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def get_connection(
        self, event: GetHttpConnection, *, reuse: bool = True
    ) -> layer.CommandGenerator[None]:
        stream, handler = self.command_sources[event], handler_of(self.context.client)
        if not (_exchange_of(stream) and handler) or event.via:  # a parent proxy
            yield from super().get_connection(event, reuse=reuse)
            return
        assert isinstance(stream, LlmHttpStream)
        known = [each for each in self.connections if event.connection_spec_matches(each)]
        ready = next(filter(self._is_ready, known), None)
        if ready and not stream.needs_new_connection:
            del self.command_sources[event]
            yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (ready, None)))
        elif event.tls and not tls.can_use_asyncio_tls():
            yield from super().get_connection(event, reuse=reuse)
        elif sum(map(self._is_in_use, known)) >= self.deps.max_connections:
            self._waiting.append(event)
        else:
            context = self.context.fork()
            context.server = Server(address=event.address, tls=event.tls)
            context.server.sni = event.address[0] if event.tls else None
            upstream = PooledHttp1Layer(
                context,
                self.deps,
                handler,
                needs_new=stream.needs_new_connection,
                queued=self._queued,
            )
            self.connections[context.server] = upstream
            self.waiting_for_establishment[context.server].append(event)
            yield from self.event_to_child(upstream, events.Start())

    def register_connection(self, command: RegisterHttpConnection) -> layer.CommandGenerator[None]:
        if command.err:
            # Stock mitmproxy repeats this error for every later request of the client connection.
            self.connections.pop(command.connection, None)
        else:
            inner = self.connections[command.connection]
            if isinstance(inner, PooledHttp1Layer):
                upstream = UpstreamLayer(
                    inner.client, inner.pooled, self._exchange, self._credentials
                )
            else:
                yield from replace_client(inner)
                handler = handler_of(self.context.client)
                if handler and (writer := writer_of(handler, transport_connection(inner))):
                    notice_death(writer, self.deps.connect_timeout_s)
                upstream = UpstreamLayer(inner, None, self._exchange, self._credentials)
            self.connections[command.connection] = upstream
        yield from super().register_connection(command)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from self._handle(event)
        except INTERRUPTS:
            raise
        except BaseException:
            # Stock mitmproxy logs this and leaves the client hanging.
            logger.exception("Internal error in the HTTP layers; closing the client's connection")
            client = self.connections.get(self.context.client)
            if isinstance(client, ClientHttp1):
                yield from client.send_error(internal_error())
            else:
                yield commands.CloseConnection(self.context.client)

    def _handle(self, event: events.Event) -> layer.CommandGenerator[None]:
        reactions: Iterable[commands.Command] = ()
        if isinstance(event, events.Wakeup) and event.command is self._wakeup:
            self._wakeup = None
            reactions = self._tick()
        elif isinstance(event, events.Start):
            reactions = self._start(event)
        elif not self._is_forgotten(event):
            reactions = super()._handle_event(event)
        for command in chain(reactions, self._serve_waiting()):
            if isinstance(command, OpenPooledServer):
                self._remember(command.pooled)
                if self._is_outermost:
                    command.pooled.open(command)
                    continue
            yield command
        if isinstance(event, events.DataReceived) and event.connection is self.context.client:
            for pooled in self._pooled_servers.values():
                pooled.on_client_data()
        if self._wakeup is None and any(map(_exchange_of, self.streams.values())):
            self._wakeup_requested_at = time.monotonic()
            self._wakeup = commands.RequestWakeup(self.deps.tick_s)
            yield self._wakeup

    def _start(self, event: events.Start) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        if type(self.connections[self.context.client]) is Http1Server:
            ours = ClientHttp1(self.context.fork(), self.deps.responses)
            self.connections[self.context.client] = ours
            yield from self.event_to_child(ours, event)

    def _serve_waiting(self) -> layer.CommandGenerator[None]:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                yield from self.get_connection(each)

    def _remember(self, pooled: PooledServer) -> None:
        """Keep a pooled server; forget the closed ones that no stream uses."""
        in_use = {each.context.server for each in self.streams.values()}
        for server, each in tuple(self._pooled_servers.items()):
            if each.is_closed and server not in in_use:
                del self._pooled_servers[server]
                self.connections.pop(server, None)
        self._pooled_servers[pooled.server] = pooled

    @property
    def _is_outermost(self) -> bool:
        """The layer that opens connections; an inner one passes the command out to it."""
        return next(each for each in self.context.layers if isinstance(each, LlmHttpLayer)) is self

    def _is_ready(self, connection: Connection) -> bool:
        upstream = self._upstream(connection)
        return upstream is not None and upstream.pooled is not None and upstream.pooled.is_ready

    def _is_in_use(self, connection: Connection) -> bool:
        return connection.connected or connection in self.waiting_for_establishment

    def event_to_child(
        self, child: layer.Layer, event: events.Event
    ) -> layer.CommandGenerator[None]:
        if (
            type(event) is ResponseHeaders
            and child is self.connections[self.context.client]
            and (credentials := self._credentials(event.stream_id))
        ):
            event.response = credentials.to_client(event.response)
        return super().event_to_child(child, event)

    def _credentials(self, stream_id: int) -> ClientCredentials | None:
        stream = self.streams.get(stream_id)
        return stream.client_credentials if isinstance(stream, LlmHttpStream) else None

    def _exchange(self, stream_id: int) -> Exchange | None:
        stream = self.streams.get(stream_id)
        return _exchange_of(stream) if stream else None

    def _upstream(self, connection: Connection) -> UpstreamLayer | None:
        upstream = self.connections.get(connection)
        return upstream if isinstance(upstream, UpstreamLayer) else None

    def _is_forgotten(self, event: events.Event) -> bool:
        """The event is of a connection that this layer has forgotten."""
        return (
            isinstance(event, events.ConnectionEvent)
            and event.connection not in self.connections
            and event.connection is not self.context.server
        )

    def _queued(self, stream_id: int) -> int:
        """Bytes of a stream that wait for the client's HTTP/2 window."""
        client = self.connections[self.context.client]
        if not isinstance(client, Http2Server):
            return 0
        buffer = client.h2_conn.stream_buffers.get(stream_id, ())
        return sum(len(each.data) for each in buffer)

    def _is_client_slow(self, stream_id: int) -> bool:
        handler = handler_of(self.context.client)
        writer = handler and writer_of(handler, self.context.client)
        unsent = writer.transport.get_write_buffer_size() if writer else 0
        return unsent + self._queued(stream_id) > RESUME_UNSENT

    def _tick(self) -> layer.CommandGenerator[None]:
        now = time.monotonic()
        # After a pause of the whole proxy the tick comes before the data that waits in the sockets.
        is_late = now - self._wakeup_requested_at > MAX_TICKS_LATE * self.deps.tick_s
        if is_late:
            self._connecting.clear()
        yield from self._close_slow_connections(now)
        for connection in list(self.connections):
            upstream = self._upstream(connection)
            # mitmproxy cancels the handler of a connection that was reset while another connection
            # is being written to, and sometimes the close event with it.
            if upstream and upstream.missed_close_event(connection):
                yield from self.event_to_child(upstream, events.ConnectionClosed(connection))
        for stream_id, stream in list(self.streams.items()):
            if _exchange_of(stream) and not stream._paused:
                tick = Tick(now, is_late or self._is_client_slow(stream_id))
                yield from self.event_to_child(stream, tick)
                self._report_progress(stream, now)

    def _close_slow_connections(self, now: float) -> layer.CommandGenerator[None]:
        # Closing a connection that waits for a free slot would leave its streams hanging.
        # timestamp_start says that connecting has begun, but not when: the wall clock may jump.
        pending = (self.connections[each] for each in self.waiting_for_establishment)
        begun = (each for each in map(transport_connection, pending) if each.timestamp_start)
        self._connecting = {each: self._connecting.get(each, now) for each in begun}
        for connection, since in tuple(self._connecting.items()):
            if now - since >= self.deps.connect_timeout_s:
                yield commands.CloseConnection(connection)

    def _report_progress(self, stream: HttpStream, now: float) -> None:
        assert isinstance(stream, LlmHttpStream)
        assert stream.exchange
        if stream.flow.live and now - stream.progress_at >= PROGRESS_INTERVAL_S:
            stream.progress_at = now
            self.deps.on_progress(stream.flow, stream.exchange, stream.sent)


def install(nextlayer: layer.NextLayer, deps: LayerDeps) -> None:
    """Replace each stock HTTP layer of a decision by ours.

    A decision may be a chain of layers, such as TLS around HTTP. mitmproxy reads positions in
    `context.layers`, so ours takes the position of the replaced layer.
    """
    parent, child = None, nextlayer.layer
    while child is not None:
        if type(child) is HttpLayer:
            layers = child.context.layers
            ours = LlmHttpLayer(child.context, child.mode, deps)
            layers.remove(ours)
            layers[layers.index(child)] = ours
            if parent is None:
                nextlayer.layer = ours
            else:
                parent.child_layer = ours  # type: ignore[attr-defined]  # it had one
            child = ours
        parent, child = child, getattr(child, "child_layer", None)


def _exchange_of(stream: layer.Layer) -> Exchange | None:
    return stream.exchange if isinstance(stream, LlmHttpStream) else None

"""The HTTP layer of a client's connection: makes our streams and watches the time for them."""

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
from mitmproxy.proxy.layers.http._http1 import Http1Server

from addon.exchange.exchange import Exchange
from addon.layers import tls
from addon.layers.connect import notice_death
from addon.layers.deps import Rules, Tick
from addon.layers.http1 import ClientHttp1, replace_client
from addon.layers.http_stream import LlmHttpStream
from addon.layers.pooled_server import Lease, OpenLease, handler_of, writer_of
from addon.layers.upstream_layer import PooledConnection, UpstreamConnection, wire_of
from backends.errors import internal_error

logger = logging.getLogger(__name__)

# Whoever looks on computes a digest of the answer each time.
SHOW_EVERY_S = 0.5


class LlmHttpLayer(HttpLayer):
    """Makes our streams, ticks while one is at work, and forgets failed upstream connections."""

    def __init__(self, context: Context, mode: HTTPMode, rules: Rules) -> None:
        super().__init__(context, mode)
        self.rules = rules
        self._wakeup: commands.RequestWakeup | None = None
        self._leases: dict[Connection, Lease] = {}
        self._connecting: dict[Connection, float] = {}  # since when, as seen by ticks; monotonic
        self._waiting: list[GetHttpConnection] = []  # for one of `max_connections`

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        stream = LlmHttpStream(self.context.fork(), stream_id, self.rules, self._upstream)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def get_connection(
        self, event: GetHttpConnection, *, reuse: bool = True
    ) -> layer.CommandGenerator[None]:
        stream, handler = self.command_sources[event], handler_of(self.context.client)
        if not (_exchange_of(stream) and handler) or event.via:  # that is a parent proxy
            yield from super().get_connection(event, reuse=reuse)
            return
        assert isinstance(stream, LlmHttpStream)
        known = [each for each in self.connections if event.connection_spec_matches(each)]
        ready = next(filter(self._is_ready, known), None)
        if ready and not stream.needs_new_connection:
            del self.command_sources[event]
            yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (ready, None)))
        elif event.tls and not tls.suffices():
            yield from super().get_connection(event, reuse=reuse)
        elif sum(map(self._is_in_use, known)) >= self.rules.max_connections:
            self._waiting.append(event)
        else:
            context = self.context.fork()
            context.server = Server(address=event.address, tls=event.tls)
            context.server.sni = event.address[0] if event.tls else None
            upstream = PooledConnection(
                context, self.rules, handler, is_fresh=stream.needs_new_connection
            )
            self.connections[context.server] = upstream
            self.waiting_for_establishment[context.server].append(event)
            yield from self.event_to_child(upstream, events.Start())

    def register_connection(self, command: RegisterHttpConnection) -> layer.CommandGenerator[None]:
        if command.err:
            # Stock mitmproxy answers every later request of this client connection with the old
            # error, so that one refused connection would cut off a keep-alive client for good.
            self.connections.pop(command.connection, None)
        else:
            inner = self.connections[command.connection]
            if isinstance(inner, PooledConnection):
                upstream = UpstreamConnection(inner.client, inner.lease, self._exchange)
            else:
                yield from replace_client(inner)
                handler = handler_of(self.context.client)
                if handler and (writer := writer_of(handler, wire_of(inner))):
                    notice_death(writer, self.rules.connect_s)
                upstream = UpstreamConnection(inner, None, self._exchange)
            self.connections[command.connection] = upstream
        yield from super().register_connection(command)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from self._handle(event)
        except Exception:
            # Stock mitmproxy logs this and leaves the client hanging.
            logger.exception("Internal error in the HTTP layers; closing the client's connection")
            client = self.connections.get(self.context.client)
            if isinstance(client, ClientHttp1):
                yield from client.answer(internal_error())
            else:
                yield commands.CloseConnection(self.context.client)

    def _handle(self, event: events.Event) -> layer.CommandGenerator[None]:
        happens: Iterable[commands.Command] = ()
        if isinstance(event, events.Wakeup) and event.command is self._wakeup:
            self._wakeup = None
            happens = self._tick()
        elif isinstance(event, events.Start):
            happens = self._start(event)
        elif not self._is_forgotten(event):
            happens = super()._handle_event(event)
        for command in chain(happens, self._serve_waiting()):
            if isinstance(command, OpenLease):
                self._remember(command.lease)
                if self._is_outermost:
                    command.lease.begin(command)
                    continue
            yield command
        if self._wakeup is None and any(map(_exchange_of, self.streams.values())):
            self._wakeup = commands.RequestWakeup(self.rules.tick_s)
            yield self._wakeup

    def _start(self, event: events.Start) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        if type(self.connections[self.context.client]) is Http1Server:
            ours = ClientHttp1(self.context.fork(), self.rules.answers)
            self.connections[self.context.client] = ours
            yield from self.event_to_child(ours, event)

    def _serve_waiting(self) -> layer.CommandGenerator[None]:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                yield from self.get_connection(each)

    def _remember(self, lease: Lease) -> None:
        """And forget those that are over, if no stream turns to their connections any more."""
        joined = {each.context.server for each in self.streams.values()}
        for server, each in tuple(self._leases.items()):
            if each.is_over and server not in joined:
                del self._leases[server]
                self.connections.pop(server, None)
        self._leases[lease.server] = lease

    @property
    def _is_outermost(self) -> bool:
        """Inside a CONNECT there are two, and the outer one has to know who waits for what."""
        return next(each for each in self.context.layers if isinstance(each, LlmHttpLayer)) is self

    def _is_ready(self, connection: Connection) -> bool:
        upstream = self._upstream(connection)
        return upstream is not None and upstream.lease is not None and upstream.lease.is_ready

    def _is_in_use(self, connection: Connection) -> bool:
        return connection.connected or connection in self.waiting_for_establishment

    def _exchange(self, stream_id: int) -> Exchange | None:
        stream = self.streams.get(stream_id)
        return _exchange_of(stream) if stream else None

    def _upstream(self, connection: Connection) -> UpstreamConnection | None:
        upstream = self.connections.get(connection)
        return upstream if isinstance(upstream, UpstreamConnection) else None

    def _is_forgotten(self, event: events.Event) -> bool:
        """The last words of a connection that is not known any more."""
        return (
            isinstance(event, events.ConnectionEvent)
            and event.connection not in self.connections
            and event.connection is not self.context.server
        )

    def _tick(self) -> layer.CommandGenerator[None]:
        now = time.monotonic()
        # timestamp_start is set when connecting begins; before that the connection waits for a free
        # place, where closing it would leave its streams hanging. It is wall-clock time, which may
        # jump, so it tells no more than that.
        wires = (wire_of(self.connections[each]) for each in self.waiting_for_establishment)
        begun = (each for each in wires if each.timestamp_start)
        self._connecting = {each: self._connecting.get(each, now) for each in begun}
        for wire, since in tuple(self._connecting.items()):
            if now - since >= self.rules.connect_s:
                yield commands.CloseConnection(wire)
        for connection in list(self.connections):
            upstream = self._upstream(connection)
            # mitmproxy cancels a handler whose connection was reset under another's writing, and
            # with it sometimes the event that tells of it.
            if upstream and upstream.has_lost_its_end(connection):
                yield from self.event_to_child(upstream, events.ConnectionClosed(connection))
        tick = Tick(now)
        for stream in list(self.streams.values()):
            if _exchange_of(stream) and not stream._paused:
                yield from self.event_to_child(stream, tick)
                self._show(stream, tick.now)

    def _show(self, stream: HttpStream, now: float) -> None:
        assert isinstance(stream, LlmHttpStream)
        assert stream.exchange
        if stream.flow.live and now - stream.shown_at >= SHOW_EVERY_S:
            stream.shown_at = now
            self.rules.show(stream.flow, stream.exchange, stream.sent)


def install(nextlayer: layer.NextLayer, rules: Rules) -> None:
    """Put our HTTP layer in the place of each stock one that was decided on.

    Some decisions are whole chains of layers (TLS around HTTP), so the chain is walked. A layer's
    position in `context.layers` has a meaning to mitmproxy and is kept.
    """
    parent, child = None, nextlayer.layer
    while child is not None:
        if type(child) is HttpLayer:
            layers = child.context.layers
            ours = LlmHttpLayer(child.context, child.mode, rules)
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

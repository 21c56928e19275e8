"""The HTTP layer of a client's connection: makes our streams and watches the time for them."""

import time

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
)
from mitmproxy.proxy.layers.http._base import ReceiveHttp

from addon.exchange import Exchange
from addon.layers.rules import Rules, Tick
from addon.layers.stream import LlmHttpStream


class LlmHttpLayer(HttpLayer):
    """Makes our streams, ticks while one is at work, and forgets failed upstream connections."""

    def __init__(self, context: Context, mode: HTTPMode, rules: Rules) -> None:
        super().__init__(context, mode)
        self.rules = rules
        self._wakeup: commands.RequestWakeup | None = None

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        stream = LlmHttpStream(self.context.fork(), stream_id, self.rules, self.mute)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def get_connection(
        self, event: GetHttpConnection, *, reuse: bool = True
    ) -> layer.CommandGenerator[None]:
        # An HTTP/2 connection knows a stream by its id, and would take a retry for the old one.
        stream = self.command_sources.get(event)
        is_retry = isinstance(stream, LlmHttpStream) and stream.is_retry
        yield from super().get_connection(event, reuse=reuse and not is_retry)

    def register_connection(self, command: RegisterHttpConnection) -> layer.CommandGenerator[None]:
        if command.err:
            # Stock mitmproxy answers every later request of this client connection with the old
            # error, so that one refused connection would cut off a keep-alive client for good.
            self.connections.pop(command.connection, None)
        yield from super().register_connection(command)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Wakeup) and event.command is self._wakeup:
            self._wakeup = None
            yield from self._tick()
        elif not self._is_forgotten(event):
            yield from super()._handle_event(event)
        if self._wakeup is None and any(map(_exchange_of, self.streams.values())):
            self._wakeup = commands.RequestWakeup(self.rules.tick_s)
            yield self._wakeup

    def mute(self, connection: Connection, stream_id: int) -> None:
        """Nothing that this connection still says about the stream is to be heard."""
        if connection in self.connections:
            self.connections[connection] = Muted(self.connections[connection], stream_id)

    def _is_forgotten(self, event: events.Event) -> bool:
        """The last words of a connection that `register_connection` dropped."""
        return (
            isinstance(event, events.ConnectionEvent)
            and event.connection not in self.connections
            and event.connection is not self.context.server
        )

    def _tick(self) -> layer.CommandGenerator[None]:
        for connection in list(self.waiting_for_establishment):
            # timestamp_start is wall-clock time and set when connecting begins; before that the
            # connection waits for a free place, where closing it would leave its streams hanging.
            started = connection.timestamp_start
            if started and time.time() - started >= self.rules.connect_s:
                yield commands.CloseConnection(connection)
        tick = Tick(time.monotonic())
        for stream in list(self.streams.values()):
            if _exchange_of(stream) and not stream._paused:
                yield from self.event_to_child(stream, tick)


class Muted(layer.Layer):
    """The layer of an upstream connection, silenced for one stream."""

    def __init__(self, muted: layer.Layer, stream_id: int) -> None:
        self.context = muted.context  # not a layer of its own in the stack
        self._muted = muted
        self._stream_id = stream_id

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        for command in self._muted.handle_event(event):
            if not (
                isinstance(command, ReceiveHttp) and command.event.stream_id == self._stream_id
            ):
                yield command

    _handle_event = handle_event


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


def _exchange_of(stream: HttpStream) -> Exchange | None:
    return stream.exchange if isinstance(stream, LlmHttpStream) else None

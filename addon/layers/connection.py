"""The HTTP layer of a client's connection: makes our streams and watches the time for them."""

import time
from collections.abc import Callable

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
)
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ResponseEndOfMessage
from mitmproxy.proxy.layers.http._http2 import Http2Client

from addon.exchange import Exchange
from addon.layers.rules import Rules, Tick
from addon.layers.stream import LlmHttpStream

# Whoever looks on computes a digest of the answer each time.
SHOW_EVERY_S = 0.5


class LlmHttpLayer(HttpLayer):
    """Makes our streams, ticks while one is at work, and forgets failed upstream connections."""

    def __init__(self, context: Context, mode: HTTPMode, rules: Rules) -> None:
        super().__init__(context, mode)
        self.rules = rules
        self._wakeup: commands.RequestWakeup | None = None

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        stream = LlmHttpStream(self.context.fork(), stream_id, self.rules, self.part)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def register_connection(self, command: RegisterHttpConnection) -> layer.CommandGenerator[None]:
        if command.err:
            # Stock mitmproxy answers every later request of this client connection with the old
            # error, so that one refused connection would cut off a keep-alive client for good.
            self.connections.pop(command.connection, None)
        else:
            inner = self.connections[command.connection]
            self.connections[command.connection] = UpstreamConnection(inner, self._is_claimed)
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

    def _is_claimed(self, stream_id: int) -> bool:
        stream = self.streams.get(stream_id)
        return stream is not None and _exchange_of(stream) is not None

    def part(self, connection: Connection, stream_id: int, is_over: bool) -> None:
        """Nothing that an upstream connection still says about a stream is to be heard.

        If its answer `is_over`, the stream may be put on the same connection again.
        """
        upstream = self.connections.get(connection)
        if isinstance(upstream, UpstreamConnection):
            upstream.part(stream_id, is_over)

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
        for connection, upstream in list(self.connections.items()):
            # mitmproxy cancels a handler whose connection was reset under another's writing, and
            # with it sometimes the event that tells of it.
            if isinstance(upstream, UpstreamConnection) and upstream.has_lost_its_end(connection):
                yield from self.event_to_child(upstream, events.ConnectionClosed(connection))
        tick = Tick(time.monotonic())
        for stream in list(self.streams.values()):
            if _exchange_of(stream) and not stream._paused:
                yield from self.event_to_child(stream, tick)
                self._show(stream, tick.now)

    def _show(self, stream: HttpStream, now: float) -> None:
        assert isinstance(stream, LlmHttpStream)
        if stream.flow.live and now - stream.shown_at >= SHOW_EVERY_S:
            stream.shown_at = now
            self.rules.show(stream.flow, stream.sent)


class UpstreamConnection(layer.Layer):
    """An upstream connection's layers, with an ear for which streams still belong to it.

    A claimed stream may put its next attempt on the very connection that tells it of the end of an
    answer, so it is told only when the connection is ready for that.
    """

    def __init__(self, inner: layer.Layer, is_claimed: Callable[[int], bool]) -> None:
        self.context = inner.context  # no layer of its own in the stack
        self._inner = inner
        self._is_claimed = is_claimed
        self._parted: set[int] = set()
        self._has_ended = False
        self._is_suspect = False

    def part(self, stream_id: int, is_over: bool) -> None:
        """See `LlmHttpLayer.part`."""
        http2 = self._http2()
        if http2 is None:
            if not is_over:  # else there is nothing more to come, and the connection is as new
                self._parted.add(stream_id)
        elif (number := http2.our_stream_id.pop(stream_id, None)) is not None:
            # Else a retry would be taken for the old stream. No stream of ours has the id 0.
            http2.their_stream_id[number] = 0

    def has_lost_its_end(self, connection: Connection) -> bool:
        """Whether it cannot be read from any more since the last look, and nobody has said so."""
        if self._has_ended or connection.state & ConnectionState.CAN_READ:
            return False
        was_suspect, self._is_suspect = self._is_suspect, True
        return was_suspect

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        self._has_ended |= isinstance(event, events.ConnectionClosed)
        ends = []
        for command in self._inner.handle_event(event):
            if isinstance(command, ReceiveHttp):
                stream_id = command.event.stream_id
                if stream_id in self._parted:
                    continue
                if isinstance(command.event, ResponseEndOfMessage) and self._is_claimed(stream_id):
                    ends.append(command)
                    continue
            yield command
        yield from ends

    _handle_event = handle_event

    def _http2(self) -> Http2Client | None:
        inner: layer.Layer | None = self._inner
        while inner is not None and not isinstance(inner, Http2Client):
            inner = getattr(inner, "child_layer", None)
        return inner


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

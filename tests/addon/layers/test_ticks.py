"""Ticks: whose silence it is when an upstream's data does not reach the client."""

import time
from collections.abc import Iterator

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HTTPMode, SendHttp
from mitmproxy.test import tflow

from addon.exchange.exchange import Exchange, Upstream
from addon.layers.deps import Tick
from addon.layers.http_layer import LlmHttpLayer
from addon.layers.http_stream import LlmHttpStream
from addon.layers.stream_state import Upstream as UpstreamState
from backends.backend import ModelRequest
from backends.keys import Key
from backends.vendors.openrouter import OpenRouter
from commands.routing.target import Target
from tests.addon.layers.test_guards import broken_deps, context, run


class Listening(LlmHttpStream):
    """Only remembers its ticks."""

    def _on_tick(self, tick: Tick) -> Iterator[commands.Command]:
        self.ticks = [*getattr(self, "ticks", ()), tick]
        return iter(())  # type: ignore[return-value]


@pytest.mark.parametrize(("waited_s", "is_late"), [(1, False), (2.5, False), (4, True)])
def test_a_late_tick_excuses_the_upstream(waited_s: float, is_late: bool) -> None:
    """The proxy stood still: SIGSTOP, a paused machine."""
    made = context()
    http = LlmHttpLayer(made, HTTPMode.regular, broken_deps())
    run(http, events.Start())
    stream = Listening(made, 1, http.deps, lambda _: None)
    stream.flow = tflow.tflow()
    stream.flow.live = False
    stream.exchange = Exchange("chat", "", [], [])
    http.streams[1] = stream
    (wakeup,) = run(http, events.DataReceived(made.client, b""))
    assert isinstance(wakeup, commands.RequestWakeup)
    http._wakeup_requested_at = time.monotonic() - waited_s
    run(http, events.Wakeup(wakeup))
    assert [tick.excuses_upstream for tick in stream.ticks] == [is_late]


def test_excused_silence_does_not_count() -> None:
    made = context()
    stream = LlmHttpStream(made, 1, broken_deps(), lambda _: None)
    stream.flow = tflow.tflow()
    stream.context.server = Server(address=("192.0.2.3", 3))
    stream.server_state = stream.state_wait_for_response_headers
    backend = OpenRouter("http://192.0.2.3/v1", None, None)
    exchange = stream.exchange = Exchange("chat", "", [], [])
    key = Key("KEY", "value")
    request = ModelRequest({"model": "m"}, None, "m", [], "s")
    call = backend.prepare(request, key)
    exchange.upstream = Upstream("V", Target("openrouter", "m", ""), "KEY", call)
    stream._state.move_upstream(UpstreamState.WAITING)
    start = stream._upstream_at
    assert not list(stream._handle_event(Tick(start + 9)))
    assert not list(stream._handle_event(Tick(start + 1000, excuses_upstream=True)))
    assert not list(stream._handle_event(Tick(start + 1009)))
    sent = list(stream._handle_event(Tick(start + 1010)))
    assert any(isinstance(each, SendHttp) for each in sent)

"""A bug in a layer, whoever's, is an error at once for whoever waits; without sockets."""

import json
from collections.abc import Iterator
from typing import Never

import pytest
from mitmproxy import ctx
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.http import Request
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode, SendHttp
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseProtocolError,
)
from mitmproxy.proxy.tunnel import TunnelLayer
from mitmproxy.test import tflow

from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import ResponseBuilder
from addon.layers.deps import LayerDeps, Tick
from addon.layers.http_layer import LlmHttpLayer
from addon.layers.http_stream import LlmHttpStream
from addon.layers.pool import Pool
from addon.layers.stream_state import Client as StreamClient, IllegalMove
from addon.layers.upstream_layer import UpstreamLayer
from backends.dialects.chat import ChatEncoder
from backends.redact import Redactor


class Bug(BaseException):
    """Not an Exception, as pydantic_core's PanicException."""


def context(alpn: bytes | None = None) -> Context:
    client = Client(peername=("192.0.2.1", 1), sockname=("192.0.2.2", 2), timestamp_start=0)
    client.state = ConnectionState.OPEN
    client.alpn = alpn
    made = Context(client, ctx.options)
    made.server = Server(address=("192.0.2.3", 3))
    return made


class Broken(layer.Layer):
    """Answers the first stream on demand; all else that is read is a bug."""

    def _handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            if b"end of 1" in event.data:
                yield ReceiveHttp(ResponseEndOfMessage(1))
            if event.data != b"end of 1":
                raise Bug


def test_an_upstream_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    inner = Broken(context())
    upstream = UpstreamLayer(inner, None, lambda _: None, lambda _: None)
    server = inner.context.server
    for stream_id in (1, 3, 5, 7):
        request = Request.make("POST", "http://192.0.2.3:3/")
        assert not list(upstream.handle_event(RequestHeaders(stream_id, request, True)))
    assert len(list(upstream.handle_event(events.DataReceived(server, b"end of 1")))) == 1
    upstream.detach(3, is_complete=False)
    assert not list(upstream.handle_event(RequestProtocolError(5, "gone", ErrorCode.CANCEL)))
    close, *told = upstream.handle_event(events.DataReceived(server, b"x"))
    assert isinstance(close, commands.CloseConnection)
    assert close.connection is server
    (error,) = [each.event for each in told if isinstance(each, ReceiveHttp)]
    assert isinstance(error, ResponseProtocolError)
    assert error.stream_id == 7
    assert "Internal error" in caplog.text
    assert not list(upstream.handle_event(events.DataReceived(server, b"more")))


def test_an_end_that_was_not_told_yet() -> None:
    """It is held back until the connection is ready for the next request, which it will not be."""
    inner = Broken(context())
    exchange = Exchange("chat", "", (), ())
    upstream = UpstreamLayer(inner, None, lambda _: exchange, lambda _: None)
    list(upstream.handle_event(RequestHeaders(1, Request.make("GET", "http://x/"), True)))
    data = events.DataReceived(inner.context.server, b"end of 1, and more")
    _, told = upstream.handle_event(data)
    assert isinstance(told, ReceiveHttp)
    assert isinstance(told.event, ResponseProtocolError)


def test_the_socket_below_a_tunnel_is_closed() -> None:
    made = context()
    proxy = Server(address=("192.0.2.4", 4))
    tunnel = TunnelLayer(made, tunnel_connection=proxy, conn=made.server)
    tunnel.child_layer = Broken(made)
    upstream = UpstreamLayer(tunnel, None, lambda _: None, lambda _: None)
    list(upstream.handle_event(RequestHeaders(1, Request.make("GET", "http://x/"), True)))
    close, _ = upstream.handle_event(events.DataReceived(proxy, b"x"))
    assert isinstance(close, commands.CloseConnection)
    assert close.connection is proxy


def broken_deps() -> LayerDeps:
    def exchange_of(_: str) -> Never:
        raise Bug

    return LayerDeps(
        exchange_of=exchange_of,
        credentials_of=lambda _: None,
        responses=ResponseBuilder(Redactor(()), 1000),
        on_progress=lambda *_: None,
        pool=Pool(),
        connect_timeout_s=10,
        read_timeout_s=10,
        keepalive_s=10,
        max_body_bytes=1000,
        max_connections=1,
    )


def run(http: LlmHttpLayer, event: events.Event) -> list[commands.Command]:
    """What happens, with all hooks completed."""
    found = []
    for command in http.handle_event(event):
        found.append(command)
        if isinstance(command, commands.StartHook) and command.blocking:
            found += run(http, events.HookCompleted(command))
    return found


def test_a_bug_on_the_clients_side_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    made = context()
    http = LlmHttpLayer(made, HTTPMode.regular, broken_deps())
    run(http, events.Start())
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    happened = run(http, events.DataReceived(made.client, request))
    (answer,) = [each for each in happened if isinstance(each, commands.SendData)]
    assert answer.data.startswith(b"HTTP/1.1 500 ")
    assert b"connection: close" in answer.data
    error = json.loads(answer.data.partition(b"\r\n\r\n")[2])["error"]
    assert error["message"].startswith("Internal error of the proxy")
    closed = [each for each in happened if isinstance(each, commands.CloseConnection)]
    assert [each.connection for each in closed] == [made.client]
    assert "Internal error" in caplog.text


class Confused(LlmHttpStream):
    """Does what its state does not allow, at the next tick."""

    def _on_tick(self, tick: Tick) -> Iterator[commands.Command]:
        raise IllegalMove("a bug")
        yield


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_illegal_move_ends_the_stream_with_an_error(has_begun: bool) -> None:
    made = context()
    stream = Confused(made, 1, broken_deps(), lambda _: None)
    stream.flow = tflow.tflow()
    stream.flow.request.http_version = "HTTP/2.0"  # no chunks
    stream.server_state = stream.state_wait_for_response_headers
    stream.exchange = Exchange("chat", "", [], [], encoder=ChatEncoder())
    if has_begun:
        list(stream._send([b": comment\n\n"], StreamClient.HEAD))
    happened = list(stream._handle_event(Tick(0.0)))
    sent = [each.event for each in happened if isinstance(each, SendHttp)]
    data = b"".join(each.data for each in sent if isinstance(each, ResponseData))
    assert data.count(b"Internal error of the proxy") == 1
    assert data.startswith(b"data: " if has_begun else b"{")
    assert stream._state.client is StreamClient.ENDED


def test_an_http2_clients_connection_is_closed() -> None:
    made = context(b"h2")
    http = LlmHttpLayer(made, HTTPMode.regular, broken_deps())
    run(http, events.Start())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    # :method GET, :scheme http, :path /, :authority x; the end of the stream
    head = bytes.fromhex("000006010500000001") + bytes.fromhex("828684410178")
    happened = run(http, events.DataReceived(made.client, preface + head))
    closed = [each for each in happened if isinstance(each, commands.CloseConnection)]
    assert [each.connection for each in closed] == [made.client]

"""What our HTTP/1.1 makes of a peer's bytes, however they are split; without sockets."""

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, strategies as st
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.http import Headers, Request, Response
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)

from addon.exchange.http_responses import ResponseBuilder
from addon.layers.http1 import MAX_HEAD_BYTES, ClientHttp1, UpstreamHttp1
from backends.redact import Redactor

INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
    b"HTTP/1.1 199 \r\n\r\n",
    b"\r\n",
    b"\n",
]
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n"
ANSWERS = [WHOLE, CHUNKED + b"\r\n", CHUNKED + b"x-checksum: 1\r\nx-more: 2\r\n\r\n"]
BODY = b"POST /v1/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
REQUESTS = [
    b"POST /v1/x HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi",
    BODY + b"\r\n",
    BODY + b"x-checksum: 1\r\n\r\n",
]


class Wire:
    """A layer and its peer: what the layer told of the peer, sent to it, and if it closed."""

    def __init__(self, layer: UpstreamHttp1 | ClientHttp1) -> None:
        self.layer = layer
        self.told: list[HttpEvent] = []
        self.sent = b""
        self.logged: list[str] = []
        self.is_closed = False
        self.feed(events.Start())

    def feed(self, *happened: events.Event) -> None:
        for event in happened:
            for command in self.layer.handle_event(event):
                if isinstance(command, ReceiveHttp):
                    self.told.append(command.event)
                elif isinstance(command, commands.SendData):
                    assert not self.is_closed
                    self.sent += command.data
                elif isinstance(command, commands.CloseConnection):
                    self.is_closed = True
                elif isinstance(command, commands.Log):
                    self.logged.append(command.message)

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.is_closed:
                self.feed(events.DataReceived(self.layer.conn, piece))

    def end(self) -> None:
        self.layer.conn.state = ConnectionState.CLOSED
        self.feed(events.ConnectionClosed(self.layer.conn))


def context() -> Context:
    client = Client(peername=("192.0.2.1", 1), sockname=("192.0.2.2", 2), timestamp_start=0)
    made = Context(client, Options())
    made.server = Server(address=("192.0.2.3", 3))
    made.server.state = ConnectionState.OPEN
    return made


def asking(stream_id: int = 1, headers: Headers | None = None) -> list[HttpEvent]:
    url = "http://192.0.2.3:3/v1/x"
    request = Request.make("POST", url, b"hi", headers or Headers())
    return [
        RequestHeaders(stream_id, request, end_stream=False),
        RequestData(stream_id, b"hi"),
        RequestEndOfMessage(stream_id),
    ]


def asked() -> Wire:
    wire = Wire(UpstreamHttp1(context()))
    wire.feed(*asking())
    return wire


def serving() -> Wire:
    return Wire(ClientHttp1(context(), ResponseBuilder(Redactor(()), 1000)))


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 2000), max_size=12)


@given(st.lists(st.sampled_from(INTERIM), max_size=6), st.sampled_from(ANSWERS), CUTS)
@example(INTERIM, ANSWERS[2], range(2000))
def test_the_final_response_counts(interim: list[bytes], answer: bytes, cuts: list[int]) -> None:
    wire = asked()
    wire.receive(*split(b"".join([*interim, answer]), cuts))
    first, *data, last = wire.told
    assert isinstance(first, ResponseHeaders)
    assert first.response.status_code == 200
    assert b"".join(each.data for each in data if isinstance(each, ResponseData)) == b"hi"
    assert isinstance(last, ResponseEndOfMessage)
    assert not wire.is_closed
    wire.feed(*asking(3))
    wire.receive(WHOLE)
    assert [each.stream_id for each in wire.told[-3:]] == [3, 3, 3]


@pytest.mark.parametrize("interim", INTERIM[:4])
def test_an_interim_response_alone_answers_nothing(interim: bytes) -> None:
    wire = asked()
    wire.receive(interim)
    assert wire.told == []
    wire.end()
    (error,) = wire.told
    assert isinstance(error, ResponseProtocolError)


def test_a_head_that_breaks_off_is_quoted_in_part() -> None:
    wire = asked()
    wire.receive(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 10_000)
    wire.end()
    (error,) = wire.told
    assert isinstance(error, ResponseProtocolError)
    assert "ended within its head: b'HTTP/1.1 200 OK" in error.message
    assert len(error.message) < 300


ODD_HEADS = [
    *(f"HTTP/1.1 {status} X\r\n\r\n".encode() for status in (0, 2, 20, 101, 600, 999, 1000, 2000)),
    *(f"HTTP/1.1 {status} X\r\n\r\n".encode() for status in ("+200", "2_0", "2x0", "-20", "")),
    b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"x" * MAX_HEAD_BYTES,
    b"HTTP/1.1 200 OK\r\nx: " + b"x" * MAX_HEAD_BYTES + b"\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 24),
    b"\r\n" * MAX_HEAD_BYTES,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"x" * MAX_HEAD_BYTES,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * MAX_HEAD_BYTES,
]


@pytest.mark.parametrize("data", ODD_HEADS, ids=lambda data: repr(data[:60]))
def test_what_is_no_answer_closes_at_once(data: bytes) -> None:
    wire = asked()
    wire.receive(*(data[at : at + 1000] for at in range(0, len(data), 1000)))
    *_, error = wire.told
    assert isinstance(error, ResponseProtocolError)
    assert wire.is_closed
    assert len(error.message) < 300
    wire.end()
    assert wire.told[-1] is error


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("more", [b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE, b"\r\n", b"x"])
@pytest.mark.parametrize("is_later", [False, True])
def test_bytes_behind_an_answer_close(answer: bytes, more: bytes, is_later: bool) -> None:
    wire = asked()
    wire.receive(*([answer, more] if is_later else [answer + more]))
    assert isinstance(wire.told[-1], ResponseEndOfMessage)
    assert wire.is_closed


def test_an_upgrade_that_was_asked_for() -> None:
    wire = Wire(UpstreamHttp1(context()))
    wire.feed(*asking(headers=Headers(upgrade="websocket")))
    wire.receive(INTERIM[2] + b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nraw")
    head, end, data = wire.told
    assert isinstance(head, ResponseHeaders)
    assert isinstance(end, ResponseEndOfMessage)
    assert isinstance(data, ResponseData)
    assert head.response.status_code == 101
    assert data.data == b"raw"


@given(st.sampled_from([*ODD_HEADS[:17], *ANSWERS]), st.data())
def test_any_bytes_of_an_upstream(answer: bytes, data: st.DataObject) -> None:
    """Nothing raises, and what has not come to its end is told as an error when it ends."""
    mutated = bytearray(answer)
    for at in data.draw(st.lists(st.integers(0, len(answer) - 1), max_size=4)):
        mutated[at : at + 1] = data.draw(st.binary(max_size=3))
    wire = asked()
    wire.receive(*split(bytes(mutated), data.draw(CUTS)))
    wire.end()
    assert any(isinstance(each, ResponseProtocolError | ResponseEndOfMessage) for each in wire.told)


def test_trailers_of_an_http2_client_are_dropped() -> None:
    wire = Wire(UpstreamHttp1(context()))
    head, data, end = asking()
    wire.feed(head, data, RequestTrailers(1, Headers(x="1")), end)
    assert wire.sent.endswith(b"\r\n\r\nhi")


class TestClient:
    @given(st.lists(st.sampled_from([b"\r\n", b"\n"]), max_size=4), CUTS)
    @example([b"\r\n"] * 4, range(2000))
    def test_requests_with_empty_lines_between(self, empty: list[bytes], cuts: list[int]) -> None:
        wire = serving()
        sent = b"".join(b"".join(empty) + request for request in REQUESTS)
        wire.receive(*split(sent, cuts))
        for number in (1, 3, 5):
            head, *data, end = [each for each in wire.told if each.stream_id == number]
            assert isinstance(head, RequestHeaders)
            assert b"".join(each.data for each in data if isinstance(each, RequestData)) == b"hi"
            assert isinstance(end, RequestEndOfMessage)
            wire.feed(
                ResponseHeaders(number, Response.make(200, b"", Headers(content_length="0"))),
                ResponseTrailers(number, Headers(x="1")),
                ResponseEndOfMessage(number),
            )
        assert not wire.is_closed

    @pytest.mark.parametrize(
        "data",
        [
            b"POST /v1/x\r\n\r\n",
            b"POST /v1/x HTTP/1.1\r\ncontent-length: two\r\n\r\n",
            b"POST /v1/x HTTP/1.1\r\nx: " + b"x" * MAX_HEAD_BYTES,
            b"\r\n" * MAX_HEAD_BYTES,
            BODY.removesuffix(b"0\r\n") + b"zz\r\n",
            BODY + b"no colon\r\n\r\n",
            BODY + b"x: " + b"x" * MAX_HEAD_BYTES,
        ],
        ids=lambda data: repr(data[:60]),
    )
    def test_what_is_no_request_gets_a_400(self, data: bytes) -> None:
        wire = serving()
        wire.receive(*(data[at : at + 1000] for at in range(0, len(data), 1000)))
        head, _, body = wire.sent.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in head
        error = json.loads(body)["error"]
        assert error["type"] == "invalid_request_error"
        assert len(error["message"]) < 300
        assert wire.is_closed
        if wire.told:
            assert isinstance(wire.told[-1], RequestProtocolError)

    def test_an_answer_that_has_begun_is_not_followed_by_a_400(self) -> None:
        wire = serving()
        wire.receive(BODY.removesuffix(b"0\r\n"))
        wire.feed(ResponseHeaders(1, Response.make(413, b"", Headers(content_length="0"))))
        wire.receive(b"zz\r\n")
        assert wire.sent.count(b"HTTP/1.1") == 1
        assert wire.is_closed

    def test_half_a_head_is_not_logged(self) -> None:
        wire = serving()
        wire.receive(b"POST / HTTP/1.1\r\nauthorization: Bearer sk-secret\r\n")
        wire.end()
        assert (wire.told, wire.logged) == ([], [])

    @given(st.sampled_from(REQUESTS), st.data())
    def test_any_bytes_of_a_client(self, request: bytes, data: st.DataObject) -> None:
        mutated = bytearray(request)
        for at in data.draw(st.lists(st.integers(0, len(request) - 1), max_size=4)):
            mutated[at : at + 1] = data.draw(st.binary(max_size=3))
        wire = serving()
        wire.receive(*split(bytes(mutated), data.draw(CUTS)))
        assert not wire.sent or wire.is_closed

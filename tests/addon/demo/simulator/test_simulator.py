"""The server: what it records, how it plays scripted answers, what it notices of its clients."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from addon.demo.simulator import (
    Cut,
    Gate,
    Hang,
    Pause,
    Reset,
    ScriptedResponse,
    Send,
    Simulator,
    Wait,
    html_answer,
    json_answer,
    sse_answer,
)
from tests.upstream import TIMEOUT_S, UpstreamThread, eventually

POST = b"POST /any?x=1 HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
def http(upstream: UpstreamThread, make_client: Callable[..., httpx.Client]) -> httpx.Client:
    return make_client(base_url=upstream.simulator.url)


@contextlib.contextmanager
def connection(upstream: UpstreamThread) -> Iterator[socket.socket]:
    address = ("127.0.0.1", upstream.simulator.port)
    with socket.create_connection(address, timeout=TIMEOUT_S) as peer:
        yield peer


def read_all(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(65536), b""))


def read_until(peer: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = peer.recv(65536)
        assert piece, f"closed behind {data!r}"
        data += piece
    return data


# Framing: the exact bytes.

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
FRAMINGS = {
    "chunked": (
        ScriptedResponse(steps=(Send(b"ab"), Send(b""), Send(b"0123456789")), framing="chunked"),
        CHUNKED + b"2\r\nab\r\na\r\n0123456789\r\n0\r\n\r\n",
    ),
    "chunked, empty": (ScriptedResponse(), CHUNKED + b"0\r\n\r\n"),
    "length": (
        ScriptedResponse(418, (("x-a", "1"), ("x-a", "2")), (Send(b"ab"), Send(b"c")), "length"),
        b"HTTP/1.1 418 I'm a Teapot\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\nabc",
    ),
    "length, cut": (
        ScriptedResponse(steps=(Send(b"ab"), Cut(), Send(b"c")), framing="length"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
    ),
    "eof": (
        ScriptedResponse(529, steps=(Send(b"ab"), Pause(0), Send(b"c")), framing="eof"),
        b"HTTP/1.1 529 Unknown\r\nconnection: close\r\n\r\nabc",
    ),
    "chunked, cut": (
        ScriptedResponse(steps=(Send(b"ab"), Cut(), Send(b"never"))),
        CHUNKED + b"2\r\nab\r\n",
    ),
    "head, then cut": (ScriptedResponse(steps=(Pause(0), Cut())), CHUNKED),
    "raw": (
        ScriptedResponse.raw(b"HTTP/1.1 20", b"0 Fine\r\n\r\nx", Cut()),
        b"HTTP/1.1 200 Fine\r\n\r\nx",
    ),
    "closed before headers": (ScriptedResponse.close_before_headers(), b""),
    "sse": (
        sse_answer({"a": "\u2028é"}, "text", b": raw\n\n", Cut()),
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
        b'15\r\ndata: {"a":"\xe2\x80\xa8\xc3\xa9"}\n\n\r\n'
        b"c\r\ndata: text\n\n\r\n7\r\n: raw\n\n\r\n",
    ),
}


@pytest.mark.parametrize(("answer", "expected"), FRAMINGS.values(), ids=FRAMINGS)
def test_an_answer_is_written_to_the_byte(
    upstream: UpstreamThread, answer: ScriptedResponse, expected: bytes
) -> None:
    upstream.script(answer)
    with connection(upstream) as peer:
        # The client asks for the connection to be closed, so that every answer has an end.
        peer.sendall(POST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        assert read_all(peer) == expected


def test_chunks_arrive_one_by_one(upstream: UpstreamThread) -> None:
    gate = Gate()
    upstream.script(ScriptedResponse(steps=(Send(b"first"), Wait(gate), Send(b"second"))))
    with connection(upstream) as peer:
        peer.sendall(POST)
        assert read_until(peer, b"first\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert gate.reached.wait(TIMEOUT_S)
        gate.open()
        gate.open()  # does no harm
        assert read_until(peer, b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


def test_headers_arrive_before_a_body_that_waits(
    upstream: UpstreamThread, http: httpx.Client
) -> None:
    gate = Gate()
    upstream.script(sse_answer(Wait(gate), "late"))
    with http.stream("POST", "/any") as response:
        assert response.status_code == 200
        gate.open()
        assert response.read() == b"data: late\n\ndata: [DONE]\n\n"


def test_a_gate_lets_several_answers_pass(upstream: UpstreamThread) -> None:
    gate = Gate()
    upstream.script(*[ScriptedResponse(steps=(Wait(gate), Send(b"x")), framing="eof")] * 2)
    with connection(upstream) as leaver, connection(upstream) as stayer:
        leaver.sendall(POST)
        assert gate.reached.wait(TIMEOUT_S)
        leaver.close()
        assert gate.client_gone.wait(TIMEOUT_S)
        stayer.sendall(POST)
        gate.open()
        assert read_all(stayer).endswith(b"\r\n\r\nx")


# Faults, as an HTTP client sees them.

FAULTS = {
    "closed before headers": (ScriptedResponse.close_before_headers(), httpx.RemoteProtocolError),
    "reset before headers": (ScriptedResponse.reset_before_headers(), httpx.ReadError),
    "cut in the body": (ScriptedResponse(steps=(Send(b"x"), Cut())), httpx.RemoteProtocolError),
    "reset in the body": (ScriptedResponse(steps=(Send(b"x"), Reset())), httpx.ReadError),
    "not HTTP": (ScriptedResponse.raw(b"SSH-2.0\r\n\r\n", Cut()), httpx.RemoteProtocolError),
}


@pytest.mark.parametrize(("answer", "error"), FAULTS.values(), ids=FAULTS)
def test_faults(
    upstream: UpstreamThread, http: httpx.Client, answer: ScriptedResponse, error: type[Exception]
) -> None:
    upstream.script(answer)
    with pytest.raises(error):
        http.post("/any")
    assert eventually(lambda: upstream.simulator.open_connections == 0)


def test_a_hanging_answer_ends_in_the_timeout_of_the_client(
    upstream: UpstreamThread, http: httpx.Client
) -> None:
    upstream.script(ScriptedResponse.hang())
    with pytest.raises(httpx.ReadTimeout):
        http.post("/any", timeout=0.01)


def test_pages_of_gateways(upstream: UpstreamThread, http: httpx.Client) -> None:
    upstream.script(html_answer(502, "Bad Gateway"))
    response = http.post("/any")
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")
    assert "<h1>Bad Gateway</h1>" in response.text


# Clients that leave.

LEAVE: dict[str, Callable[[socket.socket], None]] = {
    "close": socket.socket.close,
    "half-close": lambda peer: peer.shutdown(socket.SHUT_WR),
}


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_a_client_that_leaves_is_noticed(
    upstream: UpstreamThread, leave: Callable[[socket.socket], None]
) -> None:
    hang = Hang()
    upstream.script(ScriptedResponse(steps=(Send(b"x"), hang)))
    with connection(upstream) as peer:
        peer.sendall(POST)
        assert hang.gate.reached.wait(TIMEOUT_S)
        assert upstream.simulator.open_connections == 1
        assert not hang.gate.client_gone.is_set()
        leave(peer)
        assert hang.gate.client_gone.wait(TIMEOUT_S)
        assert upstream.simulator.open_connections == 0


def test_a_client_that_does_not_read_is_waited_for(upstream: UpstreamThread) -> None:
    mebibyte = 1 << 20
    gate = Gate()
    gate.open()
    upstream.script(ScriptedResponse(steps=(*[Send(bytes(mebibyte))] * 32, Wait(gate))))
    received = 0
    with connection(upstream) as peer:
        peer.sendall(POST)
        while not gate.reached.is_set():
            received += len(peer.recv(mebibyte))
    assert received > 16 * mebibyte  # the rest fits into the buffers of the operating system


def test_a_client_that_leaves_without_reading_is_noticed(upstream: UpstreamThread) -> None:
    upstream.script(ScriptedResponse(steps=(Send(bytes(1 << 26)), Hang())))
    with connection(upstream) as peer:
        peer.sendall(POST)
        assert peer.recv(1)
    assert eventually(lambda: upstream.simulator.open_connections == 0)


def test_closing_drops_every_connection(caplog: pytest.LogCaptureFixture) -> None:
    hang = Hang()
    with contextlib.ExitStack() as peers:
        with UpstreamThread() as upstream:
            idle, waiting = (peers.enter_context(connection(upstream)) for _ in range(2))
            upstream.script(ScriptedResponse.raw(hang))
            waiting.sendall(POST)
            assert hang.gate.reached.wait(TIMEOUT_S)
            assert eventually(lambda: upstream.simulator.open_connections == 2)
        assert read_all(idle) == read_all(waiting) == b""
        assert upstream.simulator.open_connections == 0
        with pytest.raises(ConnectionRefusedError):
            peers.enter_context(connection(upstream))
    assert not caplog.records


# Requests.


def test_requests_are_recorded(upstream: UpstreamThread, http: httpx.Client) -> None:
    http.post("/any?x=1", json={"a": 1}, headers={"X-Test": "yes"})
    http.get("/other")
    first, second = upstream.simulator.requests
    assert (first.method, first.path, first.json) == ("POST", "/any?x=1", {"a": 1})
    assert first.body == b'{"a":1}'
    assert first.header("x-test") == "yes"
    assert ("x-test", "yes") in first.headers
    assert first.header("x-none") is None
    assert (second.method, second.path, second.body) == ("GET", "/other", b"")
    assert first.connection == second.connection == 1
    assert upstream.simulator.connections == 1


def test_connections_are_numbered(upstream: UpstreamThread) -> None:
    upstream.script(*[json_answer({})] * 2)
    for _ in range(2):
        with connection(upstream) as peer:
            peer.sendall(POST)
            read_until(peer, b"{}")
    assert [request.connection for request in upstream.simulator.requests] == [1, 2]
    assert upstream.simulator.connections == 2
    assert eventually(lambda: upstream.simulator.open_connections == 0)


def test_a_body_may_come_chunked_and_in_pieces(upstream: UpstreamThread) -> None:
    request = (
        b"POST /any HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    upstream.script(json_answer({}))
    with connection(upstream) as peer:
        for start in range(0, len(request), 5):
            peer.sendall(request[start : start + 5])
        read_until(peer, b"{}")
    assert upstream.simulator.requests[0].body == b"abcde"


def test_requests_may_come_before_the_answer_to_the_last(upstream: UpstreamThread) -> None:
    upstream.script(*(json_answer(number) for number in (1, 2, 3)))
    with connection(upstream) as peer:
        peer.sendall(POST * 3)
        answers = read_until(peer, b"\r\n\r\n3")
    assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_what_is_not_http_gets_400(upstream: UpstreamThread) -> None:
    with connection(upstream) as peer:
        peer.sendall(b"what?\r\n\r\n")
        assert read_all(peer).startswith(b"HTTP/1.1 400 ")


# Scripts.


def test_scripted_answers_come_in_order_and_then_the_built_in_ones(
    upstream: UpstreamThread, http: httpx.Client
) -> None:
    upstream.script(json_answer({"n": 1}), json_answer({"n": 2}, 429, [("retry-after", "3")]))
    assert http.get("/any").status_code == 404  # only POSTs take answers that have no path
    assert http.post("/any").json() == {"n": 1}
    second = http.post("/any")
    assert (second.status_code, second.headers["retry-after"]) == (429, "3")
    assert http.post("/any").json() == {"error": {"message": "Not Found", "code": 404}}


def test_an_answer_for_a_path_waits_for_it(upstream: UpstreamThread, http: httpx.Client) -> None:
    upstream.script(json_answer("special"), path="/special")
    upstream.script(json_answer("any"))
    assert http.post("/other").json() == "any"
    assert http.get("/special?a=b").json() == "special"
    assert http.get("/special").status_code == 404


async def _start_and_record(keep_requests: int) -> list[str]:
    simulator = await Simulator.start(keep_requests=keep_requests)
    async with httpx.AsyncClient(base_url=simulator.url, trust_env=False, verify=False) as client:
        for number in range(3):
            await client.get(f"/{number}")
    await simulator.close()
    return [request.path for request in simulator.requests]


def test_only_the_newest_requests_are_kept() -> None:
    assert asyncio.run(_start_and_record(2)) == ["/1", "/2"]

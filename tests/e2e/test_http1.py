"""Odd HTTP/1.1 of upstreams and clients: an answer or an error at once, to whoever asked."""

import contextlib
import itertools
import json
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from addon.demo.simulator import Gate, Hang, ScriptedResponse, Wait, json_answer, sse_answer
from tests.harness import CLIENT_KEY, RunningProxy
from tests.upstream import UpstreamThread

INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n"

_NUMBERS = itertools.count()


def completion(text: str) -> dict[str, Any]:
    return {"id": "g", "choices": [{"index": 0, "message": {"content": text}}]}


def prompt(**options: Any) -> dict[str, Any]:
    return {"model": f"h{next(_NUMBERS)}", "messages": [{"role": "user", "content": "x"}]} | options


def ask(proxy: RunningProxy, session: str, **options: Any) -> Any:
    with proxy.client() as client:
        headers = {"x-session-id": session}
        return client.post("/v1/chat/completions", json=prompt(**options), headers=headers)


def test_an_interim_response_is_nobodys_answer(
    either: RunningProxy, upstream: UpstreamThread
) -> None:
    """Who asks meanwhile gets its own answer, too, and so does who asks next."""
    gate = Gate()
    first = ScriptedResponse.raw(INTERIM, Wait(gate), *json_answer(completion("first")).wire_steps)
    upstream.script(first, json_answer(completion("second")), json_answer(completion("third")))
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(ask, either, "one")
        assert gate.reached.wait(5)
        assert ask(either, "two").json() == completion("second")
        gate.open()
        assert waiting.result(20).json() == completion("first")
    assert ask(either, "three").json() == completion("third")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("ahead", [INTERIM * 3, b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n\r\n"])
def test_what_comes_ahead_of_an_answer(
    either: RunningProxy, upstream: UpstreamThread, ahead: bytes, stream: bool
) -> None:
    answer = sse_answer(LAST) if stream else json_answer(completion("x"))
    (first, *rest) = answer.wire_steps
    upstream.script(ScriptedResponse.raw(ahead + first.data, *rest))  # type: ignore[attr-defined]  # a Send
    assert ask(either, "s", stream=stream).status_code == 200


@pytest.mark.parametrize("ending", [b"0\r\nx: 1\r\n\r\n", b"0\r\n0\r\n\r\n"], ids=["field", "odd"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_trailers_of_an_upstream(
    either: RunningProxy, upstream: UpstreamThread, stream: bool, ending: bytes
) -> None:
    kind, body = b"application/json", json.dumps(completion("x")).encode()
    if stream:
        kind, body = b"text/event-stream", b"data: %s\n\n" % json.dumps(LAST).encode()
    upstream.script(ScriptedResponse.raw(CHUNKED % (kind, len(body), body), ending, Hang()))
    answer = ask(either, "s", stream=stream)
    if ending.startswith(b"0\r\nx"):
        assert answer.status_code == 200
    else:
        assert "Cannot parse HTTP response" in answer.text


@pytest.mark.parametrize("status", ["101", "1000", "2000", "2", "0"])
def test_a_status_that_is_none(either: RunningProxy, upstream: UpstreamThread, status: str) -> None:
    upstream.script(ScriptedResponse.raw(f"HTTP/1.1 {status} X\r\n\r\n".encode(), Hang()))
    answer = ask(either, "s")
    assert answer.status_code == 502
    assert "Bad HTTP response line" in answer.json()["error"]["message"]


def test_an_endless_head(either: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(ScriptedResponse.raw(b"HTTP/1.1 200 OK\r\nx: ", *[b"x" * 65536] * 20, Hang()))
    answer = ask(either, "s")
    assert answer.status_code == 502
    assert len(answer.content) < 1000


class TestClient:
    """What a client sends over a socket, without and within a CONNECT."""

    HEAD = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nx-session-id: c\r\n"
        f"authorization: Bearer {CLIENT_KEY}\r\n"
    ).encode()
    BODY = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY)
    WHOLE = HEAD + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)

    @staticmethod
    @contextlib.contextmanager
    def connection(
        proxy: RunningProxy, tunnel: bool, *, has_alpn: bool = True
    ) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
            if not tunnel:
                yield client
                return
            client.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n")
            assert client.recv(1000).endswith(b"\r\n\r\n")
            trust = ssl.create_default_context(cafile=proxy.ca)
            if has_alpn:
                trust.set_alpn_protocols(["http/1.1"])
            with trust.wrap_socket(client, server_hostname="api.openai.com") as inner:
                yield inner

    @staticmethod
    def statuses(client: socket.socket, count: int) -> list[bytes]:
        """Of as many answers; each ends with the completion or closes."""
        got = b""
        while got.count(b'"choices"') < count:
            data = client.recv(65536)
            if not data:
                break
            got += data
        return re.findall(rb"HTTP/1\.1 (\d+) ", got)

    @pytest.mark.parametrize(
        "sent",
        [
            CHUNKED + b"0\r\nx: 1\r\n\r\n" + WHOLE,
            b"\r\n\r\n" + WHOLE + b"\r\n" + WHOLE,
            b"\n" + CHUNKED + b"0\r\n\r\n" + b"\r\n" + WHOLE,
        ],
        ids=["trailers", "empty lines", "behind chunks"],
    )
    def test_is_served(
        self, proxy: RunningProxy, upstream: UpstreamThread, tunnel: bool, sent: bytes
    ) -> None:
        upstream.script(*[json_answer(completion("x"))] * 2)
        with self.connection(proxy, tunnel) as client:
            client.sendall(sent)
            assert self.statuses(client, 2) == [b"200", b"200"]

    @pytest.mark.parametrize("pieces", [[b"\r\n" + WHOLE], [WHOLE[:2], WHOLE[2:]]])
    def test_no_beginning_is_passed_on_unread(
        self, proxy: RunningProxy, upstream: UpstreamThread, pieces: list[bytes]
    ) -> None:
        """Without ALPN mitmproxy goes by the first bytes, and may take them for no HTTP."""
        upstream.script(json_answer(completion("x")))
        with self.connection(proxy, True, has_alpn=False) as client:
            for piece in pieces:
                client.sendall(piece)
            assert self.statuses(client, 1) == [b"200"]

    @pytest.mark.parametrize(
        "sent",
        [CHUNKED + b"zz\r\n", CHUNKED + b"0\r\nno colon\r\n\r\n", b"nonsense\r\n\r\n"],
        ids=["chunk size", "trailer", "head"],
    )
    def test_is_refused(self, proxy: RunningProxy, tunnel: bool, sent: bytes) -> None:
        with self.connection(proxy, tunnel) as client:
            client.sendall(sent)
            assert self.statuses(client, 1) == [b"400"]

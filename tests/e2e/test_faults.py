"""A misbehaving upstream: each fault ends in the right answer, and the connection stays usable."""

import gzip
import itertools
import json
from typing import Any

import httpx
import pytest

from addon.demo.simulator import (
    Cut,
    Gate,
    Hang,
    Reset,
    ScriptedResponse,
    Send,
    Wait,
    html_answer,
    json_answer,
    sse_answer,
)
from tests.harness import RunningProxy
from tests.upstream import UpstreamThread

EVENT = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
COMPLETION = {"id": "g", "choices": [{"index": 0, "message": {"content": "hi"}}]}
ERROR = {"error": {"code": 429, "message": "slow down", "metadata": {"provider_name": "P"}}}
SSE = (("content-type", "text/event-stream"),)
JSON = (("content-type", "application/json"),)

_NUMBERS = itertools.count()


def prompt(**options: Any) -> dict[str, Any]:
    """A request for a model that no test before has put to rest by a rate limit."""
    return {"model": f"m{next(_NUMBERS)}", "messages": [{}], **options}


# name, what the upstream does, status to a whole and to a streamed request, error code, message
BEFORE_THE_ANSWER = [
    (
        "reset before headers",
        ScriptedResponse.reset_before_headers(),
        502,
        None,
        "The connection to OpenRouter broke",
    ),
    ("closed before headers", ScriptedResponse.close_before_headers(), 502, None, "broke"),
    (
        "silence",
        ScriptedResponse.hang(),
        504,
        "timeout",
        "did not answer for 1 s (setting timeout)",
    ),
    ("html error page", html_answer(502, "Bad gateway"), 502, None, "Bad gateway"),
    ("html 200", html_answer(200, "Welcome"), 502, None, "not a JSON object"),
    ("429", json_answer(ERROR, 429, [("retry-after", "7")]), 429, "rate_limit_exceeded", "slow"),
    ("500", json_answer({"error": {"code": 500, "message": "boom"}}, 500), 500, None, "boom"),
    (
        "529",
        json_answer({"error": {"code": 529, "message": "busy"}}, 529),
        529,
        "overloaded",
        "busy",
    ),
    ("redirect", ScriptedResponse(302, (("location", "https://x"),)), 502, None, "HTTP 302"),
    ("error inside 200", json_answer(ERROR), 429, "rate_limit_exceeded", "slow down"),
    ("empty 200", json_answer({}), 502, None, "without 'choices'"),
    (
        "malformed headers",
        ScriptedResponse.raw(b"HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n", Cut()),
        502,
        None,
        "malformed",
    ),
    ("not HTTP", ScriptedResponse.raw(b"SSH-2.0-OpenSSH\r\n\r\n", Cut()), 502, None, "broke"),
    (
        "cut in a whole body",
        ScriptedResponse(200, JSON, (Send(b'{"cho'), Cut())),
        502,
        None,
        "broke",
    ),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("name", "fault", "status", "code", "says"),
    BEFORE_THE_ANSWER,
    ids=[row[0] for row in BEFORE_THE_ANSWER],
)
def test_before_the_answer(
    proxy: RunningProxy,
    upstream: UpstreamThread,
    name: str,
    fault: ScriptedResponse,
    status: int,
    code: str | None,
    says: str,
    stream: bool,
) -> None:
    body = prompt(stream=stream)
    proxy.forget_upstreams()
    with proxy.client() as client:
        if stream and name == "silence":
            # The client has got keep-alive comments meanwhile, and with them a 200.
            upstream.script(fault)
            answer = client.post("/v1/chat/completions", json=body)
            comment, _, event = answer.text.partition("data: ")
            assert answer.status_code == 200
            assert set(comment.split("\n\n")) == {": keep-alive", ""}
            error = json.loads(event)["error"]
        else:
            upstream.script(fault)
            answer = client.post("/v1/chat/completions", json=body)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/json"
            error = answer.json()["error"]
        assert {"message", "type", "param", "code"} <= error.keys()
        assert error["code"] == code
        assert says in error["message"]
        if name == "429":
            assert answer.headers["retry-after"] == "7"
        if "429" in name or name == "error inside 200":
            assert error["metadata"] == {"provider_name": "P"}
        assert_usable(client, upstream)


def assert_usable(client: httpx.Client, upstream: UpstreamThread) -> None:
    """The client's connection serves the next request."""
    upstream.script(json_answer(COMPLETION))
    again = client.post("/v1/chat/completions", json=prompt())
    assert again.json() == COMPLETION


# name, what the upstream does, the error's code and message; the client has got a 200 by then
IN_THE_STREAM = [
    ("cut", sse_answer(EVENT, Cut()), None, "broke"),
    ("reset", sse_answer(EVENT, Reset()), None, "broke"),
    ("early end", sse_answer(EVENT, done=False), None, "ended without a finish reason"),
    ("half an event", sse_answer(EVENT, b'data: {"cho', done=False), None, "without a finish"),
    ("error event", sse_answer(EVENT, ERROR), "rate_limit_exceeded", "slow down"),
    ("silence", sse_answer(EVENT, Hang()), "timeout", "sent nothing for 1 s"),
    ("comments, then cut", sse_answer(b": x\n\n", Cut()), None, "broke"),
    ("comments, then error", sse_answer(b": x\n\n", ERROR), "rate_limit_exceeded", "slow"),
]


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize(
    ("name", "fault", "code", "says"), IN_THE_STREAM, ids=[row[0] for row in IN_THE_STREAM]
)
def test_in_the_stream(
    proxy: RunningProxy,
    upstream: UpstreamThread,
    name: str,
    fault: ScriptedResponse,
    code: str | None,
    says: str,
    http2: bool,
) -> None:
    url = "https://api.openai.com/v1/chat/completions"
    with proxy.client(tunnel=True, http2=http2) as client:
        upstream.script(fault)
        answer = client.post(url, json=prompt(stream=True))
        assert answer.status_code == 200
        events = [event for event in answer.text.split("\n\n") if event.startswith("data: ")]
        error = json.loads(events[-1].removeprefix("data: "))["error"]
        assert error["code"] == code
        assert says in error["message"]
        assert answer.text.endswith("\n\n")
        assert "[DONE]" not in answer.text
        upstream.script(json_answer(COMPLETION))
        assert client.post(url, json=prompt()).json() == COMPLETION


def test_an_error_as_first_event_gets_its_status(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    upstream.script(sse_answer(ERROR))
    with proxy.client() as client:
        answer = client.post("/v1/chat/completions", json=prompt(stream=True))
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert_usable(client, upstream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_compressed_answer(proxy: RunningProxy, upstream: UpstreamThread, stream: bool) -> None:
    """Not asked for, but understood."""
    if stream:
        plain = b"data: " + json.dumps(LAST).encode() + b"\n\ndata: [DONE]\n\n"
        packed, headers = gzip.compress(plain), (*SSE, ("content-encoding", "gzip"))
        pieces = (Send(packed[:9]), Send(packed[9:]))
    else:
        plain = json.dumps(COMPLETION).encode()
        headers = (*JSON, ("content-encoding", "gzip"))
        pieces = (Send(gzip.compress(plain)),)
    upstream.script(ScriptedResponse(200, headers, pieces))
    answer = proxy.client().post("/v1/chat/completions", json=prompt(stream=stream))
    assert answer.status_code == 200
    assert answer.content == plain
    assert "content-encoding" not in answer.headers


def test_an_unknown_coding_is_refused(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(ScriptedResponse(200, (*SSE, ("content-encoding", "rot13")), (Send(b"qngn"),)))
    answer = proxy.client().post("/v1/chat/completions", json=prompt(stream=True))
    assert answer.status_code == 502
    assert "rot13" in answer.json()["error"]["message"]


def test_a_whole_answer_to_a_streamed_request(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    """SDKs would see an empty stream."""
    completion = {
        "id": "g",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi"}}],
    }
    upstream.script(json_answer(completion))
    chunks = list(
        proxy.openai().chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        )
    )
    assert chunks[0].choices[0].delta.content == "hi"


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (
            json_answer(COMPLETION | {"choices": [{"index": 0, "message": {"content": "hi"}}]}),
            "data: [DONE]\n\n",
        ),
        (json_answer(ERROR, 429), None),
        (sse_answer(LAST), "data: [DONE]\n\n"),
        (html_answer(502, "Bad gateway"), None),
    ],
    ids=["whole", "error", "stream", "html"],
)
def test_what_comes_after_keep_alive_comments(
    proxy: RunningProxy, upstream: UpstreamThread, answer: ScriptedResponse, ending: str | None
) -> None:
    """The head is out by then: all that follows is told inside the stream."""
    gate = Gate()
    upstream.script(ScriptedResponse.raw(Wait(gate), *answer.wire_steps))
    with proxy.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=prompt(stream=True)) as got:
            text = got.iter_text()
            assert next(text) == ": keep-alive\n\n"
            assert got.headers["content-type"] == "text/event-stream"
            gate.open()
            rest = "".join(text)
        if ending:
            assert rest.endswith(ending)
        else:
            assert json.loads(rest.rpartition("data: ")[2])["error"]["message"]
        assert_usable(client, upstream)


@pytest.mark.parametrize("where", ["before", "within"])
def test_a_client_that_leaves_ends_the_upstream_too(
    proxy: RunningProxy, upstream: UpstreamThread, where: str
) -> None:
    hang = Hang()
    upstream.script(sse_answer(EVENT, hang) if where == "within" else ScriptedResponse.raw(hang))
    with proxy.send_prompt({"messages": [{}], "stream": True}):
        assert hang.gate.reached.wait(5)
    assert hang.gate.client_gone.wait(5)


def test_the_upstream_is_closed_if_it_does_not_end_its_body(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    hang = Hang()
    upstream.script(sse_answer(LAST, "[DONE]", hang, done=False))
    answer = proxy.client().post("/v1/chat/completions", json=prompt(stream=True))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert hang.gate.client_gone.wait(5)


def test_an_answer_without_length_or_chunks(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    """Its end is the end of the connection; the client's stays open."""
    with proxy.client() as client:
        upstream.script(ScriptedResponse(200, SSE, sse_answer(EVENT, LAST).steps, framing="eof"))
        answer = client.post("/v1/chat/completions", json=prompt(stream=True))
        assert answer.text.endswith("data: [DONE]\n\n")
        assert_usable(client, upstream)

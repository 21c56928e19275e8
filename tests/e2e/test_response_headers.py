"""The headers that clients get: no secrets, nothing that another side could have made up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addon.demo.simulator import Gate, ScriptedResponse, Send, Wait, json_answer, sse_answer
from tests.harness import CLIENT_KEY, UPSTREAM_KEY, RunningProxy, running_proxy
from tests.upstream import UpstreamThread

COMPLETION = {"id": "g", "choices": [{"index": 0, "message": {"content": "hi"}}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
HEADERS = [
    ("x-echo", f"Bearer {UPSTREAM_KEY}"),
    ("x-request-id", f"req-{UPSTREAM_KEY}"),
    ("location", f"https://evil.example/?key={UPSTREAM_KEY}"),
    ("x-llm-proxy-model", "forged"),
    ("x-ratelimit-remaining", "3"),
]
ERROR = {"error": {"message": "slow down"}}
ANSWERS = {
    "whole": json_answer(COMPLETION, headers=HEADERS),
    "stream": sse_answer(LAST, headers=HEADERS),
    "error": json_answer(ERROR, 400, HEADERS),
}


@pytest.fixture(scope="module")
def viewed(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    url = upstream.simulator.openrouter_url
    with running_proxy(
        confdir, with_view=True, keep_alive=0.2, openrouter_api_base_url=url
    ) as running:
        yield running


def ask(proxy: RunningProxy, **body: Any) -> Any:
    with proxy.client() as client:
        return client.post("/v1/chat/completions", json={"model": "m", "messages": [{}]} | body)


@pytest.mark.parametrize("name", ANSWERS)
def test_headers_of_upstreams(viewed: RunningProxy, upstream: UpstreamThread, name: str) -> None:
    upstream.script(ANSWERS[name])
    answer = ask(viewed, stream=name == "stream")
    assert UPSTREAM_KEY not in str(answer.headers.raw)
    assert answer.headers["x-request-id"].startswith("req-(")
    assert answer.headers["x-ratelimit-remaining"] == "3"
    assert answer.headers["x-llm-proxy-model"] == "m"
    assert not {"location", "x-echo"} & answer.headers.keys()
    assert UPSTREAM_KEY not in str(viewed.flows[-1].get_state())


def test_the_reason_phrase_is_ours(viewed: RunningProxy, upstream: UpstreamThread) -> None:
    body = ANSWERS["whole"].steps[0]
    assert isinstance(body, Send)
    head = f"HTTP/1.1 200 {UPSTREAM_KEY}\r\ncontent-length: {len(body.data)}\r\n\r\n"
    upstream.script(ScriptedResponse.raw(head.encode() + body.data))
    answer = ask(viewed)
    assert answer.reason_phrase == "OK"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_cannot_add_headers(
    viewed: RunningProxy, upstream: UpstreamThread, stream: bool
) -> None:
    upstream.script(ANSWERS["stream" if stream else "whole"])
    answer = ask(viewed, model=f"openrouter:a\r\nx-evil: {CLIENT_KEY}", stream=stream)
    assert "x-evil" not in answer.headers
    assert answer.headers["x-llm-proxy-model"].startswith("a%0D%0Ax-evil: (")


def test_a_head_before_the_response_names_no_model(
    upstream: UpstreamThread, viewed: RunningProxy
) -> None:
    """Another attempt may follow."""
    gate = Gate()
    upstream.script(ScriptedResponse.raw(Wait(gate), *ANSWERS["stream"].wire_steps))
    body = {"model": "m", "messages": [{}], "stream": True}
    with (
        viewed.client() as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        assert "x-request-id" in answer.headers
        assert "x-llm-proxy-model" not in answer.headers
        gate.open()
        assert b"".join(answer.iter_raw()).endswith(b"[DONE]\n\n")

"""Keys that an upstream repeats in a stream do not reach the client."""

import json
from typing import Any

import pytest

from addon.demo.simulator import Send, sse_answer
from tests.harness import GEMINI_KEY, UPSTREAM_KEY, RunningProxy
from tests.upstream import UpstreamThread

TOOL = {"index": 0, "id": "c", "type": "function"}
DELTAS: dict[str, dict[str, Any]] = {
    "text": {"content": f"the key is {UPSTREAM_KEY}!"},
    "reasoning": {"reasoning": UPSTREAM_KEY},
    "tool call": {
        "tool_calls": [
            TOOL | {"function": {"name": "f", "arguments": json.dumps({"k": UPSTREAM_KEY})}}
        ]
    },
}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def event(delta: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
@pytest.mark.parametrize("is_cut", [False, True], ids=["at once", "in pieces"])
@pytest.mark.parametrize("name", DELTAS)
def test_chat(
    proxy: RunningProxy, upstream: UpstreamThread, name: str, is_cut: bool, escaped: bool
) -> None:
    data = event(DELTAS[name])
    if escaped:
        data = data.replace(b"sk-or-v1", b"\\u0073k-or-v1")
    middle = data.index(b"k-or-v1") + 4
    sent = (Send(data[:middle]), Send(data[middle:])) if is_cut else (Send(data),)
    upstream.script(sse_answer(event({"content": "first"}), *sent, LAST))
    body = {"model": "m", "messages": [{}], "stream": True}
    answer = proxy.client().post("/v1/chat/completions", json=body)
    assert "or-v1-upstream" not in answer.text
    assert "API_KEY_HAS_BEEN_REDACTED" in answer.text
    assert answer.text.startswith(event({"content": "first"}).decode())
    assert answer.text.endswith("data: [DONE]\n\n")


def test_responses(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(sse_answer(event(DELTAS["text"]), LAST))
    body = {"model": "m", "input": "x", "stream": True}
    answer = proxy.client().post("/v1/responses", json=body)
    assert UPSTREAM_KEY not in answer.text
    assert '"response.completed"' in answer.text


def test_gemini(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    part = {"text": f"it is {GEMINI_KEY}"}
    reply = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    upstream.script(sse_answer(reply, done=False))
    body = {"model": "gemini:x", "messages": [{"role": "user", "content": "x"}], "stream": True}
    answer = proxy.client().post("/v1/chat/completions", json=body)
    assert GEMINI_KEY not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")

"""What a flow tells of its exchange: comment, marker, metadata, the sides that it hides itself."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import flowfilter
from mitmproxy.http import HTTPFlow

from addon.demo.simulator import Gate, ScriptedResponse, Wait, json_answer, sse_answer
from addon.exchange import flow_record
from backends import jsonio
from tests.harness import RunningProxy, running_proxy
from tests.upstream import UpstreamThread, eventually

USAGE = {"prompt_tokens": 1234, "completion_tokens": 34, "total_tokens": 1268, "cost": 0.00412}


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        with_view=True,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        failover_routes={
            name: {"policy": "m", "elements": [f"openrouter:{first}", "gemini:gemini-2.5-pro"]}
            for name, first in (("best", "first"), ("same", "same"))
        },
        sticky=False,
        keep_alive=2,
    ) as running:
        yield running


def ask(proxy: RunningProxy, text: str = "hi", model: str = "demo/echo", **chat: Any) -> HTTPFlow:
    """The flow of one chat request."""
    messages = [{"role": "user", "content": text}]
    with proxy.client() as client:
        client.post("/v1/chat/completions", json={"model": model, "messages": messages, **chat})
    return proxy.flows[-1]


def completion(text: str = "Hello", **fields: Any) -> ScriptedResponse:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **fields}
    return json_answer(
        {"id": "x", "object": "chat.completion", "choices": [choice], "usage": USAGE}
    )


def test_a_whole_answer(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(completion())
    flow = ask(proxy, model="gpt-4o")
    assert flow.comment == "gpt-4o -> openrouter:openai/gpt-4o | 1.2k+34 tok | $0.0041"
    assert flow.marked == ""
    told = flow.metadata
    assert re.fullmatch(
        r"openrouter:openai/gpt-4o with OPENROUTER_API_KEY: ok \(\d\.\d\d s\)",
        told.pop("llm_attempt_1"),
    )
    assert told.pop("llm_total_s", 0) < 5
    assert (
        jsonio.decode(flow_record.load(flow, flow_record.CLIENT_REQUEST) or b"")["model"]
        == "gpt-4o"
    )
    del told[flow_record.CLIENT_REQUEST]
    assert told == {
        "llm_endpoint": "chat",
        "llm_session": "default",
        "llm_requested": "gpt-4o",
        "llm_model": "openrouter:openai/gpt-4o",
        "llm_backend": "openrouter",
        "llm_key": "OPENROUTER_API_KEY",
        "llm_finish_reason": "stop",
        "llm_prompt_tokens": 1234,
        "llm_completion_tokens": 34,
        "llm_cost": 0.00412,
        "llm_attempts": 1,
    }


def test_what_passes_unchanged_is_not_kept_twice(proxy: RunningProxy) -> None:
    for stream in (False, True):
        assert not set(flow_record.CAPTURES) & ask(proxy, stream=stream).metadata.keys()


def test_both_sides_of_a_translated_stream(proxy: RunningProxy) -> None:
    flow = ask(proxy, "say so", "gemini:gemini-2.5-pro", stream=True)
    client = jsonio.decode(flow_record.load(flow, flow_record.CLIENT_REQUEST) or b"")
    assert client["messages"] == [{"role": "user", "content": "say so"}]
    assert "contents" in jsonio.decode(flow.request.content or b"")
    assert b'"candidates"' in (flow_record.load(flow, flow_record.UPSTREAM_RESPONSE) or b"")
    assert b'"chat.completion.chunk"' in ((flow.response and flow.response.content) or b"")
    assert re.fullmatch(r"gemini:gemini-2.5-pro \| \d+\+\d+ tok \| ttft \d+ms", flow.comment)


def test_a_failover(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(json_answer({"error": {"code": 503, "message": "Overloaded"}}, 503))
    flow = ask(proxy, model="best")
    assert flow.comment.startswith("best -> gemini:gemini-2.5-pro | ")
    assert flow.comment.endswith(" | attempt 2/2")
    assert flow.marked == ":repeat:"
    assert flow.metadata["llm_attempts"] == 2
    first = flow.metadata["llm_attempt_1"]
    assert re.fullmatch(r"openrouter:first with \w+: 503 Overloaded \(\d\.\d\d s\)", first)
    assert flow.metadata["llm_attempt_2"].startswith(
        "gemini:gemini-2.5-pro with GEMINI_API_KEY: ok"
    )


def test_the_client_s_request_is_kept_though_the_first_attempt_had_the_same(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    upstream.script(json_answer({"error": {"code": 503, "message": "Overloaded"}}, 503))
    flow = ask(proxy, model="same")
    assert flow.metadata["llm_model"] == "gemini:gemini-2.5-pro"
    assert (
        jsonio.decode(flow_record.load(flow, flow_record.CLIENT_REQUEST) or b"")["model"] == "same"
    )


def test_a_failure(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(json_answer({"error": {"code": 400, "message": "Bad " + "x" * 500}}, 400))
    flow = ask(proxy)
    assert flow.marked == ":x:"
    assert flow.comment == f"demo/echo -> openrouter:demo/echo | 400 Bad {'x' * 112}..."
    assert flow.metadata["llm_error"] == f"400 Bad {'x' * 500}"


def test_an_error_inside_a_stream(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(sse_answer({"error": {"code": 502, "message": "Gone"}}))
    flow = ask(proxy, stream=True)
    assert (flow.marked, flow.comment) == (":x:", "demo/echo -> openrouter:demo/echo | 502 Gone")


def test_an_unusual_end(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(completion(finish_reason="length"))
    assert ask(proxy).comment.endswith(" | ended by length")


def test_commands(proxy: RunningProxy) -> None:
    flow = ask(proxy, "!/set(project=x) !/help")
    assert flow.comment == "demo/echo -> proxy | !/set(project=x) !/help"
    assert flow.metadata["llm_commands"] == "!/set(project=x) !/help"
    assert flow.metadata["llm_project"] == "x"
    flow = ask(proxy, "!/unset(project) What is this?")
    assert " | !/unset(project) | " in flow.comment
    kept = {side: flow_record.load(flow, side) or b"" for side in flow_record.CAPTURES[:2]}
    assert b"!/unset" in kept[flow_record.CLIENT_REQUEST]
    prompt = jsonio.decode(kept[flow_record.PROMPT])
    assert prompt["messages"] == [{"role": "user", "content": "What is this?"}]


def test_refusals(proxy: RunningProxy) -> None:
    with proxy.client() as client:
        client.post("/v1/chat/completions", content=b"no JSON")
        assert proxy.flows[-1].comment.startswith("400 The request body is not valid JSON")
        client.get("/nowhere")
        assert proxy.flows[-1].comment == "404 Invalid URL (GET /nowhere)"
        client.get("/v1/models")
        assert proxy.flows[-1].comment == ""


def test_filters(proxy: RunningProxy) -> None:
    flow = ask(proxy, model="gemini:gemini-2.5-flash")
    for matching in (
        "~comment gemini",
        "~meta llm_session:.default",
        "~meta 'llm_backend: gemini'",
    ):
        assert flowfilter.match(matching, flow)
    for other in ("~marker .", "~meta llm_error", "~comment openrouter"):
        assert not flowfilter.match(other, flow)


def test_a_running_stream_shows_its_progress(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    gate = Gate()
    event = {"choices": [{"index": 0, "delta": {"content": "So far"}}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    upstream.script(sse_answer(event, Wait(gate), last))
    shown: list[str] = []

    class Watch:
        def update(self, flows: list[HTTPFlow]) -> None:
            shown.extend(each.comment for each in flows)

    proxy.add(Watch())
    chat = {"model": "demo/slow", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    with proxy.client() as client, client.stream("POST", "/v1/chat/completions", json=chat) as got:
        lines = got.iter_lines()
        assert "So far" in next(lines)
        flow = proxy.flows[-1]
        assert eventually(lambda: b"So far" in ((flow.response and flow.response.content) or b""))
        assert flow.live
        gate.open()
        assert "data: [DONE]" in list(lines)
    progress = re.compile(r"demo/slow -> openrouter:demo/slow \| \d+s \.\.\.")
    assert any(map(progress.fullmatch, shown))
    assert eventually(lambda: not flow.live)
    assert "..." not in flow.comment


def test_flows_from_a_file_are_left_alone(proxy: RunningProxy) -> None:
    flow = ask(proxy, "hello", "gemini:gemini-2.5-pro")
    copied = flow.copy()
    copied.request.host = "api.openai.com"
    copied.request.path = "/v1/chat/completions"
    before = copied.get_state()
    loading = proxy.master.load_flow(copied)
    asyncio.run_coroutine_threadsafe(loading, proxy.master.event_loop).result(5)
    assert copied.get_state() == before


def test_a_prompt_edited_by_hand_goes_up_as_it_is_and_only_once(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    class Editor:
        def request(self, flow: HTTPFlow) -> None:
            if b"original" in (flow.request.content or b""):
                flow.request.content = flow.request.content.replace(b"original", b"edited")

    proxy.add(Editor())
    assert b"You said: edited" in ask(proxy, "original").response.content
    upstream.script(json_answer({"error": {"code": 503, "message": "Overloaded"}}, 503))
    flow = ask(proxy, "original", "best")
    assert flow.comment == "best -> openrouter:first | attempt 1/2 | 503 Overloaded"
    assert b"edited" in upstream.simulator.requests[-1].body

"""The Responses API through the proxy, with OpenAI's SDK: the same turns, sessions and failover."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from addon.demo.simulator import Cut, Gate, Wait, json_answer, sse_answer
from backends import jsonio, sse
from tests.harness import CLIENT_KEY, RunningProxy, running_proxy
from tests.upstream import TIMEOUT_S, UpstreamThread

MODELS = ("demo/echo", "gemini:gemini-2.5-pro")
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        disable_interactive_mode=False,
        keep_alive=0.1,
        timeout=20,
        sticky=False,
        failover_routes={
            "best": {"policy": "m", "elements": ["openrouter:first", "gemini:gemini-2.5-pro"]}
        },
    ) as running:
        greet(running, "default")
        yield running


def greet(proxy: RunningProxy, session: str) -> None:
    """Get the banner out of the way."""
    ask(proxy.openai(), "!/set(interactive=off)", extra_headers={"x-session-id": session})


def ask(client: openai.OpenAI, given: Any, model: str = "demo/echo", **more: Any) -> Response:
    answer = client.responses.create(model=model, input=given, **more)
    assert isinstance(answer, Response)
    return answer


def stream(proxy: RunningProxy, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream, each of which the SDK's types accept, numbered without a gap."""
    with proxy.client() as client:
        answer = client.post("/v1/responses", json={"model": "demo/echo", "stream": True} | body)
    assert answer.headers["content-type"] == "text/event-stream"
    splitter = sse.Splitter()
    blocks = [*splitter.feed(answer.content), splitter.finish()]
    events = [jsonio.decode(data) for block in blocks if (data := sse.data_of(block))]
    for number, event in enumerate(events):
        assert EVENT.validate_python(event).type == event["type"]
        assert event["sequence_number"] == number
    return events


def test_whole_and_streamed(proxy: RunningProxy, tunnel: bool) -> None:
    client = proxy.openai(tunnel=tunnel)
    for model in MODELS:
        whole = ask(client, "Hello you", model)
        assert whole.status == "completed"
        assert whole.output_text.endswith("You said: Hello you")
        assert whole.usage
        assert whole.usage.total_tokens > 0
        with client.responses.stream(model=model, input="Hello you") as events:
            deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
            final = events.get_final_response()
        assert len(deltas) > 3
        assert "".join(deltas) == final.output_text == whole.output_text
        assert final.usage
        assert final.usage.total_tokens > 0


def test_http2(proxy: RunningProxy) -> None:
    body = {"model": "demo/echo", "input": "hi", "stream": True}
    with proxy.client(tunnel=True, http2=True) as client:
        answer = client.post("https://api.openai.com/v1/responses", json=body)
    assert answer.http_version == "HTTP/2"
    assert "event: response.completed" in answer.text


def test_commands(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    client = proxy.openai()
    before = len(upstream.simulator.requests)
    help = ask(client, [{"role": "user", "content": [{"type": "input_text", "text": "!/help"}]}])
    assert help.output_text.startswith("available commands: ")
    events = stream(proxy, input="!/help")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == help.output_text
    assert len(upstream.simulator.requests) == before
    greet(proxy, "inline")
    session = {"x-session-id": "inline"}
    both = "!/set(interactive=on, project=p) say so"
    said = ask(client, both, instructions="Be kind.", extra_headers=session).output_text
    assert "project set to p" in said
    assert said.endswith("You said: say so")
    sent = jsonio.decode(upstream.simulator.requests[-1].body)
    assert sent["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "say so"},
    ]
    # The history comes back with the old command and the proxy's words; neither goes up.
    history = [
        {"role": "user", "content": "!/help"},
        {"role": "assistant", "content": [{"type": "output_text", "text": help.output_text}]},
        {"role": "user", "content": "And now?"},
    ]
    ask(client, history)
    sent = jsonio.decode(upstream.simulator.requests[-1].body)
    assert sent["messages"] == [{"role": "user", "content": "And now?"}]


def test_a_conversation_goes_on_by_the_id_of_its_last_answer(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    client = proxy.openai()
    first = ask(client, "One")
    second = ask(client, "Two", previous_response_id=first.id)
    assert second.output_text.endswith("You said: Two")
    roles = [
        each["role"] for each in jsonio.decode(upstream.simulator.requests[-1].body)["messages"]
    ]
    assert roles == ["user", "assistant", "user"]
    unkept = ask(client, "One", store=False)
    for id in (unkept.id, "resp_unknown"):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, "Two", previous_response_id=id)
        assert caught.value.code == "previous_response_not_found"


TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop(proxy: RunningProxy, upstream: UpstreamThread, model: str) -> None:
    client = proxy.openai()
    calls = ask(client, "Use tools", model, tools=[TOOL])
    (call,) = [item for item in calls.output if item.type == "function_call"]
    assert call.name == "look"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "a cat"}
    given = [{"role": "user", "content": "Use tools"}, *calls.output, output]
    assert ask(client, given, model, tools=[TOOL]).status == "completed"
    assert b"a cat" in upstream.simulator.requests[-1].body


def test_failover_before_the_first_output(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    overloaded = {"error": {"code": 503, "message": "Overloaded"}}
    for failure in (json_answer(overloaded, 503), sse_answer(overloaded), sse_answer(Cut())):
        upstream.script(failure, path="/api/v1/chat/completions")
        events = stream(proxy, model="best", input="hi")
        assert events[-1]["type"] == "response.completed"
        assert "gemini-2.5-pro" in events[-1]["response"]["output"][0]["content"][0]["text"]


def test_a_client_that_waits_gets_events_and_still_another_attempt(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    """Codex does not count comments as a sign of life."""
    gate = Gate()
    failure = {"error": {"code": 503, "message": "Overloaded"}}
    upstream.script(sse_answer(Wait(gate), failure), path="/api/v1/chat/completions")
    with proxy.client() as client:
        body = {"model": "best", "input": "hi", "stream": True}
        with client.stream("POST", "/v1/responses", json=body) as answer:
            lines = answer.iter_lines()
            seen = [next(lines), next(lines), next(lines), next(lines)]
            assert seen[0] == "event: response.created"
            assert seen[3] == "event: response.in_progress"
            assert gate.reached.wait(TIMEOUT_S)
            gate.open()
            rest = list(lines)
    kinds = [line for line in rest if line.startswith("event: ")]
    assert kinds[-1] == "event: response.completed"
    assert "event: response.created" not in kinds


def test_errors(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    client = proxy.openai()
    with pytest.raises(openai.RateLimitError):
        ask(client, "hi", "demo/error-429", stream=True)
    with pytest.raises(openai.BadRequestError, match="input"):
        client.responses.create(model="demo/echo")
    piece = {"choices": [{"index": 0, "delta": {"content": "So"}}]}
    failure = {"error": {"code": 502, "message": f"Gone with {CLIENT_KEY}"}}
    for rest in ([failure], [Cut()]):
        upstream.script(sse_answer(piece, *rest))
        *_, last = stream(proxy, input="hi")
        assert last["type"] == "response.failed"
        assert last["response"]["error"]["code"] == "server_error"
        assert CLIENT_KEY not in str(last)


def test_a_stream_that_was_ended_with_an_error_ends_only_once(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    piece = {"choices": [{"index": 0, "delta": {"content": "So"}}]}
    failure = {"error": {"code": 502, "message": "Gone"}}
    upstream.script(sse_answer(piece, failure, Cut()), sse_answer(piece, failure, Cut()))
    kinds = [event["type"] for event in stream(proxy, input="hi")]
    assert kinds.count("response.failed") == 1
    with proxy.client() as client:
        chat = {"stream": True, "messages": [{"role": "user", "content": "hi"}]}
        answer = client.post("/v1/chat/completions", json=chat).text
    assert answer.count('"error"') == 1


def test_it_is_recorded_in_the_session(proxy: RunningProxy) -> None:
    greet(proxy, "told")
    ask(proxy.openai(), "Remember me", extra_headers={"x-session-id": "told"})
    entry = proxy.command("llm.history", "told")[-1]
    assert "Remember me" in entry
    assert " | stop | " in entry


def test_a_websocket_is_refused_so_that_codex_falls_back_at_once(proxy: RunningProxy) -> None:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    with proxy.client() as client:
        assert client.get("/v1/responses", headers=headers).status_code == 426
        assert client.get("/v1/responses").status_code == 405

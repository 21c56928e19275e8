"""The views as mitmproxy calls them."""

import json
import logging
from typing import Any

import pytest
from mitmproxy import contentviews, http
from mitmproxy.contentviews import Metadata
from mitmproxy.test import taddons, tflow

from addon.exchange import flow_record
from addon.inspect import diff, views
from backends.keys import Key
from backends.redact import Redactor

CHAT = {"model": "asked", "messages": [{"role": "user", "content": "Hi 🚀"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hi 🚀"}]}]}
ANSWER = (
    b'data: {"choices":[{"delta":{"content":"Yo"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
UPSTREAM = {"candidates": [{"content": {"parts": [{"text": "Yo"}]}, "finishReason": "STOP"}]}

FACTS = {
    "llm_session": "s1",
    "llm_agent": "cline",
    "llm_project": "blog",
    "llm_requested": "asked",
    "llm_model": "gemini:gemini-2.5-pro",
    "llm_key": "GEMINI_API_KEY",
    "llm_commands": "!/set(project=blog)",
    "llm_attempt_1": "openrouter:x with KEY: 429 Rate limited (0.31 s)",
    "llm_attempt_2": "gemini:gemini-2.5-pro with GEMINI_API_KEY: ok",
    "llm_attempts": 2,
    "llm_finish_reason": "stop",
    "llm_prompt_tokens": 1204,
    "llm_completion_tokens": 340,
    "llm_cost": 0.00213,
    "llm_total_s": 4.2,
    "llm_error": "none\nreally",
}
FACTS_SHOWN = """\
session    s1 · agent cline · project blog
model      asked → gemini:gemini-2.5-pro
key        GEMINI_API_KEY
commands   !/set(project=blog)
attempt 1  openrouter:x with KEY: 429 Rate limited (0.31 s)
attempt 2  gemini:gemini-2.5-pro with GEMINI_API_KEY: ok
answer     stop · 1,204 prompt tokens · 340 completion tokens · $0.002130 · total 4.20 s
error      none really
"""


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def make_flow(**metadata: Any) -> http.HTTPFlow:
    """A prompt that Gemini answered, both sides kept."""
    flow = tflow.tflow(resp=True)
    flow.request.path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    flow.request.content = encoded(GEMINI)
    assert flow.response
    flow.response.content = ANSWER
    flow_record.save(flow, flow_record.CLIENT_REQUEST, encoded(CHAT))
    flow_record.save(flow, flow_record.UPSTREAM_RESPONSE, encoded(UPSTREAM))
    flow.metadata.update(metadata)
    return flow


def shown(flow: http.HTTPFlow, message: str, view: str = "auto") -> contentviews.ContentviewResult:
    with taddons.context():
        return contentviews.prettify_message(getattr(flow, message), flow, view)


@pytest.fixture(autouse=True, scope="module")
def _registered() -> None:
    views.register(str)


def test_registering_twice_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = dict(contentviews.registry)
    views.register(str)
    assert dict(contentviews.registry) == before
    assert not caplog.records
    names = [name for name in contentviews.registry.available_views() if name.startswith("llm")]
    assert names == ["llm chat", "llm client", "llm edit", "llm upstream"]


def test_a_flow_of_ours_is_shown_as_a_chat() -> None:
    result = shown(make_flow(**FACTS), "request")
    assert result.view_name == "LLM chat"
    facts, _, chat = result.text.partition("\n\n")
    assert facts + "\n" == FACTS_SHOWN
    assert chat.startswith("── user ─")
    assert chat.endswith("─\nHi 🚀")
    assert shown(make_flow(**FACTS), "response").text.endswith("\nYo")


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({}, ""),
        ({"llm_requested": "m", "llm_model": "m"}, "model      m"),
        ({"llm_model": "m"}, "model      m"),
        ({"llm_prompt_tokens": 3.5, "llm_ttft_s": 1}, "answer     3.5 prompt tokens · ttft 1.00 s"),
        ({"llm_session": 1, "llm_cost": "much", "llm_attempt_1": None, 5: "x", "llm_x": "y"}, ""),
        ({"llm_attempt_2": "second"}, ""),
        ({"llm_session": "x" * 1000}, f"session    {'x' * 299}…"),
    ],
)
def test_facts(metadata: dict[Any, Any], text: str) -> None:
    flow = make_flow()
    flow.metadata = metadata
    result = shown(flow, "request", "LLM chat")
    assert result.text.startswith(f"{text}\n\n── user" if text else "── user")


@pytest.mark.parametrize(
    ("view", "message", "head", "called", "data"),
    [
        ("LLM client", "request", "── user", "as sent by the client", encoded(CHAT)),
        ("LLM client", "response", "finish_reason", "as received by the client", ANSWER),
        ("LLM upstream", "request", "── user", "as sent to the upstream", encoded(GEMINI)),
        (
            "LLM upstream",
            "response",
            "finishReason",
            "as received from the upstream",
            encoded(UPSTREAM),
        ),
    ],
)
def test_sides(view: str, message: str, head: str, called: str, data: bytes) -> None:
    text = shown(make_flow(), message, view).text
    chat, _, proof = text.partition("\n\n--- ")
    assert head in chat
    assert proof == f"{called}, {len(data)} bytes ---\n{data.decode()}"


def test_without_kept_sides_both_are_what_the_flow_has() -> None:
    flow = make_flow()
    flow.metadata.clear()
    assert encoded(GEMINI).decode() in shown(flow, "request", "LLM client").text
    assert ANSWER.decode() in shown(flow, "response", "LLM upstream").text


def test_the_proof_is_bounded() -> None:
    flow = make_flow()
    body = encoded({**CHAT, "more": "x" * 2**21})
    flow_record.save(flow, flow_record.CLIENT_REQUEST, body)
    text = shown(flow, "request", "LLM client").text
    assert f"{len(body):,} bytes" in text
    assert text.endswith(f"xxx\n… {len(body) - 2**20:,} more bytes")


@pytest.mark.parametrize(
    ("path", "metadata", "body", "is_chat"),
    [
        ("/v1/chat/completions", {}, b'\n\n {"a": 1}', True),
        ("/v1/chat/completions?x=1", {}, b"[]", True),
        ("/v1/responses", {}, b"event: x\n\n", True),
        ("/v1/embeddings", {}, b": ping\n\n", True),
        ("/v1beta/models/x:generateContent", {}, b"{}", True),
        ("/", {"llm_session": "x"}, b"data: {}\n\n", True),
        ("/", {}, b"{}", False),
        ("/v1/models", {}, b"{}", False),
        ("/v1/chat/completions", {}, b"<html>", False),
        ("/v1/chat/completions", {}, b"", False),
        ("/", {"llm_session": "x"}, b"\x89PNG", False),
        ("/", {5: "x"}, b"{}", False),
    ],
)
def test_when_it_is_chosen(path: str, metadata: dict[Any, Any], body: bytes, is_chat: bool) -> None:
    flow = make_flow()
    flow.metadata = metadata
    flow.request.path = path
    flow.request.content = body
    assert (shown(flow, "request").view_name == "LLM chat") is is_chat


def test_tcp_flows_are_left_alone() -> None:
    flow = tflow.ttcpflow()
    with taddons.context():
        result = contentviews.prettify_message(flow.messages[0], flow)
        assert result.view_name != "LLM chat"
        text = contentviews.prettify_message(flow.messages[0], flow, "LLM upstream").text
    assert text.endswith("--- as received from the upstream, 5 bytes ---\nhello")


@pytest.mark.parametrize("name", ["llm chat", "llm client", "llm upstream"])
@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\0", b"{", b"data: x\n\n"])
def test_what_cannot_be_read_is_shown_as_it_is(name: str, body: bytes) -> None:
    text = contentviews.registry[name].prettify(body, Metadata())
    assert text.startswith("This cannot be read as a conversation.\n\n")
    assert text.endswith(body.decode("utf-8", "replace"))


@pytest.mark.parametrize("name", ["llm chat", "llm client", "llm upstream"])
@pytest.mark.parametrize("body", [b'{"data": [{"id": "m"}]}', b'{"error": null, "output": []}'])
def test_what_only_looks_like_an_answer(name: str, body: bytes) -> None:
    assert "cannot be read" in contentviews.registry[name].prettify(body, Metadata())


def test_an_empty_request() -> None:
    assert contentviews.registry["llm chat"].prettify(b'{"messages": []}', Metadata()) == "(empty)"


def test_json_that_is_no_chat_is_indented() -> None:
    text = contentviews.registry["llm chat"].prettify(b'{"models":["m"]}', Metadata())
    assert text.endswith('\n\n{\n  "models": [\n    "m"\n  ]\n}')


def test_no_view_raises_for_strange_metadata() -> None:
    flow = make_flow()
    flow.metadata = {"llm_prompt_tokens": 10**5000, flow_record.CLIENT_REQUEST: b"not compressed"}
    for name in ("llm chat", "llm client", "llm upstream", "llm edit"):
        view = contentviews.registry[name]
        assert "Hi" in view.prettify(encoded(CHAT), Metadata(flow=flow, http_message=flow.request))


def edit(flow: http.HTTPFlow, old: str, new: str) -> bytes:
    """As mitmproxy's console edits a request."""
    with taddons.context():
        text = contentviews.prettify_message(flow.request, flow, "LLM edit").text
        assert old in text
        return contentviews.reencode_message(text.replace(old, new), flow.request, flow, "LLM edit")


def test_edit() -> None:
    flow = make_flow()
    flow.request.content = body = b'{ "messages" : [{"role":"user","content":"Hi\\n\\u00e4"}]}'
    assert edit(flow, "Hi", "Hi") == body
    expected = {"messages": [{"role": "user", "content": "Bye\nä"}]}
    assert (
        edit(flow, "Hi", "Bye")
        == json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
    )


def test_edit_of_a_compressed_body() -> None:
    flow = make_flow()
    flow.request.headers["content-encoding"] = "gzip"
    flow.request.content = body = b'{ "messages" : [] }'
    assert edit(flow, "messages", "messages") == body


def test_edit_with_the_original_given() -> None:
    view = contentviews.registry["llm edit"]
    assert isinstance(view, contentviews.InteractiveContentview)
    assert view.reencode("a: 1\n", Metadata(original_data=b'{"a":  1}')) == b'{"a":  1}'
    assert view.reencode("a: 1\n", Metadata()) == b'{"a":1}'
    with pytest.raises(ValueError, match="line 2"):
        view.reencode("a: [\n", Metadata(original_data=b'{"a":  1}'))


KEY = "sk-or-v1-0123456789abcdef"
PARTS = (KEY[:9], KEY[9:])


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + encoded(event) + b"\n\n" for event in events)


@pytest.mark.parametrize(
    "body",
    [
        sse(*({"choices": [{"delta": {"content": part}}]} for part in PARTS)),
        sse(*({"choices": [{"delta": {"reasoning": part}}]} for part in PARTS)),
        sse(
            *(
                {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": function}]}}]}
                for function in ({"name": "f", "arguments": PARTS[0]}, {"arguments": PARTS[1]})
            )
        ),
        sse(*({"candidates": [{"content": {"parts": [{"text": part}]}}]} for part in PARTS)),
        sse(
            *(
                {
                    "type": "response.output_text.delta",
                    "item_id": "1",
                    "delta": part,
                    "response": {},
                }
                for part in PARTS
            )
        ),
    ],
    ids=["chat", "reasoning", "tool call", "gemini", "responses"],
)
def test_a_key_in_two_events_is_not_shown(body: bytes) -> None:
    clean = Redactor((Key("KEY", KEY),)).scrub
    flow = make_flow()
    assert flow.response
    flow.response.content = body
    assert KEY in shown(flow, "response", "LLM chat").text
    views.register(clean)
    try:
        for view in ("LLM chat", "LLM client"):
            assert KEY not in shown(flow, "response", view).text
        assert not any(KEY in line for line in diff.responses(make_flow(), flow, clean))
    finally:
        views.register(str)

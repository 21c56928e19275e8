"""Any JSON: a request is accepted or rejected, and a response never crashes."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings, strategies as st

from backends import jsonio, sse
from backends.dialects.responses.tools import TOOL_KINDS
from backends.errors import ApiError
from tests.backends.dialects.responses.asking import ask, read_events

KINDS = [
    *TOOL_KINDS,
    *(kind.item_type for kind in TOOL_KINDS.values()),
    *(f"{kind.item_type}_output" for kind in TOOL_KINDS.values()),
    *("message", "reasoning", "additional_tools", "item_reference", "namespace", "allowed_tools"),
    *("web_search", "input_text", "input_image", "input_file", "refusal", "json_schema"),
]
NAMES = [
    *("type", "role", "content", "name", "namespace", "call_id", "id", "arguments", "input"),
    *("output", "tools", "format", "encrypted_content", "text", "image_url", "mode", "action"),
]
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(KINDS)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
typed = st.dictionaries(st.sampled_from(NAMES), anything, max_size=4)
items = st.builds(lambda kind, item: {"type": kind, **item}, st.sampled_from(KINDS), typed)
parameters = st.dictionaries(
    st.sampled_from(["tools", "tool_choice", "text", "reasoning", "include", "instructions"]),
    anything | items | st.lists(items, max_size=2),
    max_size=3,
)


@settings(max_examples=300)
@given(st.lists(items | anything, max_size=4) | anything, parameters)
def test_any_request(input: Any, more: dict[str, Any]) -> None:
    with suppress(ApiError):
        chat = ask(input, **more).chat
        assert chat["messages"]
        assert all("role" in message for message in chat["messages"])


DELTA = [
    *("content", "reasoning", "reasoning_details", "refusal", "tool_calls", "annotations", "index"),
    *("id", "function", "name", "arguments", "extra_content", "type", "text", "url_citation"),
]
fields = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(DELTA), inner, max_size=4)
    ),
    max_leaves=10,
)
deltas = st.dictionaries(st.sampled_from(DELTA), fields, max_size=4)


@settings(max_examples=200)
@given(st.lists(deltas | fields, max_size=3), fields, fields)
def test_any_response(deltas: list[Any], finish_reason: Any, usage: Any) -> None:
    encoder = ask().encoder()
    blocks = [
        encoder.chunk(sse.block(jsonio.encode(chunk)))
        for delta in deltas
        for chunk in ({"choices": [{"delta": delta, "finish_reason": finish_reason}]}, delta)
    ]
    blocks += [encoder.chunk(sse.block(jsonio.encode({"usage": usage}))), encoder.done()]
    read_events(b"".join(blocks))

"""Complete responses, and that streams give the same."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from openai.types.responses import Response

from backends import jsonio, openai_wire
from backends.errors import ApiError
from tests.backends.dialects.responses.asking import (
    SEALED,
    Json,
    ask,
    call,
    chunk,
    completion,
    contents,
    stream,
)

TOOLS: list[Json] = [
    {"type": "function", "name": "f"},
    {"type": "custom", "name": "patch"},
    {"type": "local_shell"},
]


def whole(response: Json, **parameters: Any) -> Json:
    """The response for a completion; it is valid."""
    response = ask(**parameters).render(response)
    Response.model_validate(response)
    return response


def test_parameters_are_repeated() -> None:
    given_parameters = {
        "instructions": "i",
        "temperature": 0.5,
        "tools": TOOLS[:2],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_object"}},
        "metadata": {"a": "b"},
        "store": False,
    }
    response = whole(completion({"content": "x"}), **given_parameters)
    assert given_parameters.items() <= response.items()


def test_defaults() -> None:
    response = whole(completion({"content": "x"}))
    assert response["object"] == "response"
    assert (response["status"], response["error"]) == ("completed", None)
    assert (response["tools"], response["tool_choice"]) == ([], "auto")
    assert response["usage"] is None


def test_usage_has_all_counts() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": None}
    assert whole(completion({}, usage=usage))["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }


def test_a_failed_response() -> None:
    with pytest.raises(ApiError, match="finish_reason 'error'"):
        ask().render(completion({"content": "x"}, "error"))


def test_replies_of_the_proxy() -> None:
    """A reply of the proxy, streamed as the addon does it."""
    own = openai_wire.completion_of(
        {"role": "assistant", "content": "x"}, id="a", model="m", created=1
    )
    *chunks, done = openai_wire.stream_of(own)
    assert done == openai_wire.DONE
    events = stream(ask(), *chunks)
    assert contents(events[-1]["response"]["output"]) == contents(ask().render(own)["output"])


# Any response

texts = st.text(st.characters(codec="utf-8"), max_size=12)
details = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "reasoning.text", "text": text}, texts.filter(bool)),
        st.builds(lambda data: {"type": "reasoning.encrypted", "data": data}, texts.filter(bool)),
    ),
    max_size=2,
).map(lambda each: [{**detail, "index": index} for index, detail in enumerate(each)])
arguments = st.one_of(
    st.dictionaries(texts, texts, max_size=2).map(lambda value: jsonio.encode(value).decode()),
    texts.map(lambda text: jsonio.encode({"input": text}).decode()),
    texts.map(lambda text: json.dumps({"input": text})),
    texts,
)
names = st.sampled_from(["f", "patch", "local_shell", "unknown"])


@st.composite
def messages(draw: st.DrawFn) -> Json:
    """A message of a chat."""
    calls = []
    for index, (name, given_arguments) in enumerate(
        draw(st.lists(st.tuples(names, arguments), max_size=3))
    ):
        signed = {"extra_content": {"google": {"thought_signature": f"s{index}"}}}
        more = signed if draw(st.booleans()) else {}
        calls.append(call(f"call_{index}", name, given_arguments, **more))
    message: Json = {"role": "assistant", "content": draw(st.none() | texts)}
    thoughts = draw(st.sampled_from([("reasoning", texts), ("reasoning_details", details)]))
    for key, strategy in (thoughts, ("refusal", texts)):
        if value := draw(strategy):
            message[key] = value
    if calls:
        message["tool_calls"] = calls
    return message


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text split between UTF-16 units, so also within surrogate pairs."""
    units = [text.encode("utf-16-le")[at : at + 2] for at in range(0, 2 * _units(text), 2)]
    places = sorted(draw(st.lists(st.integers(0, len(units)), max_size=3)))
    edges = [0, *places, len(units)]
    return [
        b"".join(units[start:end]).decode("utf-16-le", "surrogatepass")
        for start, end in itertools.pairwise(edges)
    ]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@st.composite
def streamed(draw: st.DrawFn) -> tuple[Json, list[Json]]:
    """A message and its deltas, with interleaved fragments of calls."""
    message = draw(messages())
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    for key in ("reasoning", "reasoning_details", "content", "refusal"):
        value = message.get(key)
        if isinstance(value, str):
            deltas += [{key: piece} for piece in _cut(draw, value)]
        elif value:
            deltas += [{key: [each]} for each in value]
    queues = []
    for index, each in enumerate(message.get("tool_calls", [])):
        pieces = _cut(draw, each["function"]["arguments"])
        head = {**each, "function": {**each["function"], "arguments": ""}}
        rest = [{"function": {"arguments": piece}} for piece in pieces]
        queues.append([{"index": index, **fragment} for fragment in (head, *rest)])
    heads = [{"tool_calls": [queue.pop(0)]} for queue in queues]
    deltas += heads
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        deltas.append({"tool_calls": [queue.pop(0)]})
    return message, deltas


def _as_one(items: list[Json]) -> list[Json]:
    """The messages for a conversation with these items."""
    chat = ask([*items, {"role": "user", "content": "on"}]).chat
    messages: list[Json] = chat["messages"]
    return messages


@settings(max_examples=200)
@given(streamed(), st.sampled_from(["stop", "length", "content_filter"]))
def test_a_stream_gives_the_same_as_a_completion(
    response: tuple[Json, list[Json]], finish_reason: str
) -> None:
    message, deltas = response
    request = ask(tools=TOOLS, include=SEALED)
    events = stream(request, *map(chunk, deltas), chunk({}, finish_reason))
    response = ask(tools=TOOLS, include=SEALED).render(completion(message, finish_reason))
    Response.model_validate(response)
    assert contents(events[-1]["response"]["output"]) == contents(response["output"])


@settings(max_examples=200)
@given(messages())
def test_output_can_be_sent_back(message: Json) -> None:
    response = ask(tools=TOOLS, include=SEALED).render(completion(message))
    *said, _ = _as_one(response["output"])
    expected: Json = {"role": "assistant", "content": message["content"] or None}
    for key in ("reasoning_details", "refusal"):
        if key in message:
            expected[key] = message[key]
    calls = [each for each in message.get("tool_calls", [])]
    if not (expected["content"] or calls or message.get("refusal")):
        assert said == []
        return
    (sent,) = said
    sent_calls = sent.pop("tool_calls", [])
    assert sent == expected
    for given_call, sent_call in zip(calls, sent_calls, strict=True):
        assert sent_call["id"] == given_call["id"]
        assert sent_call.get("extra_content") == given_call.get("extra_content")
        assert sent_call["function"]["name"] == given_call["function"]["name"]
        if given_call["function"]["name"] in ("f", "unknown"):
            assert sent_call == given_call

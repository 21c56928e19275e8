"""Random conversations: each next request is valid."""

import json
from typing import Any

from hypothesis import given, settings, strategies as st

from addon.demo.simulator.gemini_rules import checks_signatures, sign
from backends.stream import Chunk, Done
from backends.vendors.gemini.signatures import PLACEHOLDER
from tests.backends.vendors.gemini.asking import MODELS, ask, body_of, function, make_gemini, result
from tests.backends.vendors.gemini.validation import Json, validate_chunk, validate_completion

# Any history

IDS = st.sampled_from(["a", "b", "c", ""])
FUNCTIONS = st.sampled_from(["f", "g", "a b", "1"])
TEXTS = st.sampled_from(["", "x", " "])
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
PARTS = st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS) | st.just(IMAGE))
CONTENT = TEXTS | PARTS
CALLS = st.lists(
    st.builds(
        lambda id, name, arguments: {
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        },
        IDS,
        FUNCTIONS,
        st.sampled_from(["{}", "", "[1]", "{", '{"x": 1}']),
    ),
    max_size=3,
)


def message(role: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"role": st.just(role), **fields})


MESSAGES = st.one_of(
    message("system", content=CONTENT),
    message("user", content=CONTENT),
    message("assistant", content=st.none() | CONTENT, tool_calls=st.none() | CALLS),
    message(
        "assistant",
        content=st.none(),
        function_call=st.builds(lambda name: {"name": name, "arguments": "{}"}, FUNCTIONS),
    ),
    message("tool", tool_call_id=IDS, content=CONTENT),
    message("function", name=FUNCTIONS, content=TEXTS),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MODELS), st.lists(MESSAGES, min_size=1, max_size=9))
def test_any_history(model: str, messages: list[Json]) -> None:
    """`ask` validates: against the SDK, and against the rules of the service."""
    contents = body_of(ask(*messages, model=model))["contents"]
    names = [
        part[kind]["name"]
        for kind in ("functionCall", "functionResponse")
        for content in contents
        for part in content["parts"]
        if kind in part
    ]
    assert len(names) % 2 == 0
    assert sorted(names[: len(names) // 2]) == sorted(names[len(names) // 2 :])


# A model that calls tools, and a client that runs them

TOOLS = [function("f"), function("a b")]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["", "text"]),
        st.lists(st.sampled_from(["f", "a_b"]), max_size=3),
        st.booleans(),  # streamed
    ),
    min_size=1,
    max_size=5,
)


def events_of(model: str, serial: int, text: str, calls: list[str]) -> bytes:
    """A response of Gemini: an event for each call, the first signed since generation 3."""
    parts: list[Json] = [{"text": text}] if text else []
    for number, name in enumerate(calls):
        part: Json = {"functionCall": {"name": name}}
        if checks_signatures(model):
            part["functionCall"]["id"] = f"n{serial}_{number}"
            if number == 0:
                part["thoughtSignature"] = sign(serial)
        parts.append(part)
    last: Json = {"text": ""}
    if text and not calls and checks_signatures(model):
        last["thoughtSignature"] = sign(serial)
    events: list[Json] = [{"candidates": [{"content": {"parts": [part]}}]} for part in parts]
    events.append({"candidates": [{"content": {"parts": [last]}, "finishReason": "STOP"}]})
    events = [{**event, "responseId": f"r{serial}"} for event in events]
    return b"".join(b"data: %s\r\n\r\n" % json.dumps(event).encode() for event in events)


def answer_of(call: Any, body: bytes, is_streamed: bool) -> Json:
    """The assistant's message, complete or joined from a stream."""
    if not is_streamed:
        completion = call.read_response(body)
        validate_completion(completion)
        found: Json = completion["choices"][0]["message"]
        return {key: value for key, value in found.items() if value is not None}
    decoder = call.decoder()
    events = decoder.feed(body) + decoder.finish()
    assert isinstance(events.pop(), Done)
    made: Json = {"role": "assistant", "content": "", "tool_calls": []}
    for event in events:
        assert isinstance(event, Chunk)
        chunk = json.loads(event.raw.removeprefix(b"data: "))
        validate_chunk(chunk)
        delta = chunk["choices"][0]["delta"]
        made["content"] += delta.get("content", "")
        made["tool_calls"] += delta.get("tool_calls", [])
    return made


def forgetful(message: Json) -> Json:
    """The message with OpenAI's fields only, as most clients keep it."""
    calls = [
        {key: call[key] for key in ("id", "type", "function")}
        for call in message.get("tool_calls", ())
    ]
    return {
        "role": "assistant",
        "content": message.get("content"),
        **({"tool_calls": calls} if calls else {}),
    }


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(MODELS[:4]),
    STEPS,
    st.booleans(),  # the client keeps unknown fields
    st.sampled_from([None, 1, 2]),  # the step before which the proxy restarts
    st.sampled_from([None, 1, 2]),  # the step before which the model changes
    st.randoms(use_true_random=False),
)
def test_an_agent_loop(
    model: str,
    steps: list[tuple[str, list[str], bool]],
    is_careful: bool,
    restart: int | None,
    change: int | None,
    random: Any,
) -> None:
    gemini = make_gemini()
    history: list[Json] = [{"role": "user", "content": "begin"}]
    for serial, (text, calls, is_streamed) in enumerate(steps):
        if serial == restart:
            gemini = make_gemini()
        if serial == change:
            model = MODELS[(MODELS.index(model) + 1) % 4]
        call = ask(*history, gemini=gemini, model=model, tools=TOOLS)
        is_untouched = restart is None and change is None
        if is_untouched or (is_careful and change is None):
            assert PLACEHOLDER not in call.request.body.decode(), "a signature was lost"
        made = answer_of(call, events_of(model, serial, text, calls), is_streamed)
        ids = [each["id"] for each in made.get("tool_calls", ())]
        assert len(ids) == len(calls)
        history.append(made if is_careful else forgetful(made))
        random.shuffle(ids)
        history += [result(id) for id in ids]
        if not calls:
            history.append({"role": "user", "content": "go on"})

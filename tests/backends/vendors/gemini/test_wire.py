"""Recorded Gemini responses, read at once, byte by byte and at random splits."""

import itertools
import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given, strategies as st

from backends.dialects.chat import ChatEncoder
from backends.errors import ApiError
from backends.openai_wire import DONE, error_event
from backends.stream import Outcome, Pipe
from tests.backends.vendors.gemini.asking import NOW, WIRE, ask, recorded
from tests.backends.vendors.gemini.validation import Json, validate_chunk, validate_completion


class Expected(NamedTuple):
    """The client's view. `calls` are names and arguments; `error` is (status, code)."""

    content: str | None = ""
    finish_reason: str | None = "stop"
    usage: tuple[int, int, int] = (0, 0, 0)
    reasoning: str | None = None
    calls: tuple[tuple[str, Json], ...] = ()
    error: tuple[int, str | None] | None = None
    more: Json = {}  # noqa: RUF012


def signed(signature: str) -> Json:
    return {"google": {"thought_signature": signature}}


CITATION = {
    "url": "https://weather.example/zh",
    "title": "weather.example",
    "start_index": 0,
    "end_index": 14,
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SCREEN = ("read_screen", {"id": "A"})

ANSWERS: dict[str, Expected] = {
    "text": Expected(
        "There are **3** r\u2019s in\u2028strawberry.",
        usage=(9, 208, 217),
        more={"extra_content": signed("EqsFCqgFAb4+9vtN")},
    ),
    "thinking": Expected(
        "Three.",
        usage=(9, 62, 71),
        reasoning="**Planning**\n\nI count letters.**Checking**\n\nAgain.",
    ),
    "one_call": Expected(
        "I will look.",
        "tool_calls",
        (29, 15, 44),
        calls=(("weather", {"location": "Zürich", "days": 3}),),
    ),
    "one_call_whole": Expected(
        None, "tool_calls", (29, 908, 937), calls=(("weather", {"location": "Paris"}),)
    ),
    "parallel_calls": Expected(
        None, "tool_calls", (30, 42, 72), calls=(SCREEN, SCREEN, ("read_theme", {}))
    ),
    "call_without_args": Expected(None, "tool_calls", (12, 4, 16), calls=(("read_theme", {}),)),
    "signed_call": Expected(
        None,
        "tool_calls",
        (12, 49, 61),
        reasoning="**Looking up**",
        calls=(("weather", {"location": "Oslo"}),),
    ),
    "finish_apart": Expected("Done.", usage=(5, 3, 8)),
    "no_finish": Expected("", usage=(5, 20, 25), reasoning="**Wondering**"),
    "blocked_prompt": Expected(
        None,
        "content_filter",
        (9, 0, 9),
        more={"refusal": "Prompt blocked by Gemini: PROHIBITED_CONTENT"},
    ),
    "max_tokens": Expected("Once upon a", "length", (9, 3, 12)),
    "safety": Expected("First, take", "content_filter", (9, 3, 12)),
    "continuation": Expected("Page one", "length", (9, 3, 12)),
    "search": Expected(
        "Zürich: 21 °C.",
        usage=(39, 6, 45),
        more={"annotations": [{"type": "url_citation", "url_citation": CITATION}]},
    ),
    "image": Expected("Here:", usage=(9, 1300, 1309), more={"images": [IMAGE]}),
    "malformed_call": Expected(error=(502, "malformed_function_call")),
    "error_after_events": Expected(error=(503, "overloaded")),
    "error_event": Expected(error=(503, "overloaded")),
}
STREAMS = sorted(ANSWERS)


def test_every_recording_has_a_source_and_a_test() -> None:
    names = {path.stem for path in (WIRE / "gemini").iterdir()}
    good = {name for name in names if recorded(name).status == 200}
    assert good == ANSWERS.keys()
    assert all(recorded(name).source for name in names)


def run(pieces: list[bytes]) -> tuple[bytes, Outcome]:
    """Decode a stream. Each time with a new call, so that ids are the same."""
    outcome = Outcome()
    call = ask(stream=True, stream_options={"include_usage": True})
    pipe = Pipe(call.decoder(), ChatEncoder(), outcome)
    out = b"".join(b"".join(pipe.feed(piece)) for piece in pieces) + b"".join(pipe.finish())
    return out + (error_event(outcome.error) if outcome.error else b""), outcome


def chunks_of(stream: bytes) -> list[Json]:
    *events, rest = stream.split(b"\n\n")
    assert rest == b""
    return [json.loads(event.removeprefix(b"data: ")) for event in events if b"[DONE]" not in event]


def message_of(chunks: list[Json]) -> Json:
    """Join deltas to a message, as a client does."""
    message: Json = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for key, value in choice["delta"].items():
                if isinstance(value, str):
                    message[key] = message.get(key, "") + value
                elif isinstance(value, list):
                    message[key] = message.get(key, []) + value
                else:
                    message[key] = value
    return message


def usage_of(usage: Json) -> tuple[int, int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]


def calls_of(message: Json) -> tuple[tuple[str, Json], ...]:
    functions = [call["function"] for call in message.get("tool_calls", ())]
    return tuple((each["name"], json.loads(each["arguments"])) for each in functions)


@pytest.mark.parametrize("name", STREAMS)
def test_streamed(name: str) -> None:
    expected = ANSWERS[name]
    out, outcome = run([recorded(name).body])
    chunks = chunks_of(out)
    if expected.error:
        assert outcome.error
        assert (outcome.error.status, outcome.error.code) == expected.error
        assert chunks.pop() == outcome.error.body()
        assert not any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"])
        return
    for chunk in chunks:
        validate_chunk(chunk)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    finishing = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]]
    assert finishing == [None] * (len(finishing) - 1) + [expected.finish_reason]
    assert chunks[-1]["choices"] == []
    assert usage_of(chunks[-1]["usage"]) == expected.usage
    assert out.endswith(DONE)
    message = message_of(chunks)
    assert message.get("content") == (expected.content or "")
    assert message.get("reasoning_content") == expected.reasoning
    assert calls_of(message) == expected.calls
    assert [call["index"] for call in message.get("tool_calls", ())] == list(
        range(len(expected.calls))
    )
    assert {key: message.get(key) for key in expected.more} == expected.more
    assert outcome.usage == chunks[-1]["usage"]
    assert outcome.finish_reason == expected.finish_reason


@pytest.mark.parametrize("name", STREAMS)
def test_complete(name: str) -> None:
    """A client that does not stream gets the same message."""
    expected = ANSWERS[name]
    body = recorded(name).body
    if expected.error:
        with pytest.raises(ApiError) as caught:
            ask().read_response(body)
        assert (caught.value.status, caught.value.code) == expected.error
        return
    completion = ask().read_response(body)
    validate_completion(completion)
    assert completion["created"] == NOW
    assert completion["model"] == "gemini:gemini-2.5-pro"
    assert usage_of(completion["usage"]) == expected.usage
    [choice] = completion["choices"]
    message = choice["message"]
    assert message["content"] == expected.content
    assert message.get("reasoning_content") == expected.reasoning
    assert calls_of(message) == expected.calls
    assert {key: message.get(key) for key in expected.more} == expected.more
    assert choice["finish_reason"] == expected.finish_reason


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_byte_by_byte(name: str, line_end: bytes) -> None:
    body = recorded(name).body.replace(b"\n", line_end)
    out = run([body])[0]
    assert run([body[i : i + 1] for i in range(len(body))])[0] == out
    assert out == run([recorded(name).body])[0]


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 1500), max_size=8))
def test_at_random_splits(name: str, cuts: list[int]) -> None:
    body = recorded(name).body
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert run([body[a:b] for a, b in itertools.pairwise(edges)])[0] == run([body])[0]


@pytest.mark.parametrize("name", ["text", "parallel_calls", "thinking"])
def test_a_json_list(name: str) -> None:
    """The response without `alt=sse`, as some gateways send it."""
    events = [json.loads(line[6:]) for line in recorded(name).body.split(b"\n") if line]
    assert run([json.dumps(events).encode()])[0] == run([recorded(name).body])[0]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty response"),
        (b": nothing but a comment\n\n", "empty response"),
        (b"data: {}\n\n", "empty response"),
        (b"data: [DONE]\n\n", "empty response"),
        (b"<html>", "empty response"),
        (b"data: what?\n\n", "truncated or not valid JSON"),
        (recorded("text").body[:-40], "truncated"),
        (recorded("error_after_events").body[:-40], "truncated"),
    ],
)
def test_invalid_bodies(body: bytes, says: str) -> None:
    for pieces in [body], [body[i : i + 1] for i in range(len(body))]:
        outcome = run(pieces)[1]
        assert outcome.error
        assert outcome.error.status == 502
        assert says in outcome.error.message


def test_nothing_is_read_after_an_error() -> None:
    decoder = ask().decoder()
    assert len(decoder.feed(recorded("error_event").body)) == 3
    assert decoder.feed(recorded("text").body) == []
    assert decoder.finish() == []


def test_line_separators_are_escaped() -> None:
    text = "a\u2028b\u2029c\u0085d\\u2028"
    event: Any = {"candidates": [{"content": {"parts": [{"text": text}]}}]}
    out, _ = run([b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"])
    assert out.decode().splitlines() == out.decode().split("\n")[:-1]
    assert message_of(chunks_of(out))["content"] == text


def test_no_usage_chunk_by_default() -> None:
    outcome = Outcome()
    pipe = Pipe(ask(stream=True).decoder(), ChatEncoder(), outcome)
    out = b"".join(pipe.feed(recorded("max_tokens").body) + pipe.finish())
    assert b'"usage"' not in out
    assert outcome.usage
    assert usage_of(outcome.usage) == (9, 3, 12)


def test_candidates_stay_separate() -> None:
    events = [
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {
            "candidates": [
                {"content": {"parts": [{"text": "b"}]}, "index": 1, "finishReason": "STOP"}
            ]
        },
        {"candidates": [{"finishReason": "MAX_TOKENS"}]},
    ]
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
    choices = ask(n=2).read_response(body)["choices"]
    assert [(each["index"], each["message"]["content"]) for each in choices] == [(0, "a"), (1, "b")]
    assert [each["finish_reason"] for each in choices] == ["length", "stop"]
    ends = [
        (choice["index"], choice["finish_reason"])
        for chunk in chunks_of(run([body])[0])
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]
    assert ends == [(0, "length"), (1, "stop")]


def test_many_pieces() -> None:
    """In linear time: appending each piece would cost the square of the length."""
    event = b'data: {"candidates":[{"content":{"parts":[{"text":"ab"}]}}]}\n\n'
    completion = ask().read_response(event * 20_000)
    assert completion["choices"][0]["message"]["content"] == "ab" * 20_000


def test_a_bare_error_in_many_blocks() -> None:
    text = json.dumps({"error": {"code": 503, "message": "m"}}).replace(",", "," + "\n" * 200_000)
    with pytest.raises(ApiError, match="m"):
        ask().read_response(text.encode())

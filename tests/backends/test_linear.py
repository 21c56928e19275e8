"""Long requests and responses take steps in proportion to their length."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from backends import jsonio
from backends.backend import ModelRequest
from backends.dialects.responses.dialect import Responses
from backends.dialects.responses.store import ResponseStore
from backends.jsonio import Json
from tests.backends.vendors.gemini.asking import KEY, USER, ask, called, make_gemini, result
from tests.work import is_linear, steps_of


def pairs(count: int) -> list[Json]:
    """Calls, each followed by its result."""
    turns = ([called((f"c{n}", "f")), result(f"c{n}")] for n in range(count))
    return [USER, *(message for turn in turns for message in turn)]


def parallel(count: int) -> list[Json]:
    """One turn with many calls, and the results after it."""
    ids = [f"c{n}" for n in range(count)]
    return [USER, called(*((id, "f") for id in ids)), *map(result, ids)]


def by_name(count: int) -> list[Json]:
    """Results that name their tool only."""
    calls = called(*((f"c{n}", "f") for n in range(count)))
    return [
        USER,
        calls,
        *({"role": "function", "name": "f", "content": "ok"} for _ in range(count)),
    ]


def without_results(count: int) -> list[Json]:
    return [USER, *(called((f"c{n}", "f")) for n in range(count))]


def unknown_results(count: int) -> list[Json]:
    return [*without_results(count), *(result(f"x{n}") for n in range(count))]


def colliding_names(count: int) -> list[Json]:
    """Names that are the same once they are sanitized."""
    return [USER, *(called((f"c{n}", "f" * 60 + "é" * (n + 1))) for n in range(count))]


@pytest.mark.parametrize(
    "make", [pairs, parallel, by_name, without_results, unknown_results, colliding_names]
)
def test_histories_to_gemini(make: Callable[[int], list[Json]]) -> None:
    gemini = make_gemini()

    def prompt(count: int) -> ModelRequest:
        return ModelRequest({"messages": make(count)}, None, "gemini-3-pro", [], "s")

    assert is_linear(lambda request: gemini.prepare(request, KEY), prompt)


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-4-pro"])
def test_each_result_finds_its_call(model: str) -> None:
    messages = [USER, called(("a", "f"), ("a", "f"), ("b", "g")), result("b", "1")]
    messages += [called(("a", "f")), *(result("a", text) for text in "234"), result("a", "5")]
    body = json.loads(ask(*messages, model=model).request.body)
    responses = [
        part["functionResponse"]["response"]["output"]
        for content in body["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ]
    # The newest turn first, in it the first call.
    assert responses == ["3", "4", "1", "2"]
    assert body["contents"][-1]["parts"][0] == {"text": "[tool result a]"}


def message(role: str, text: str = "x") -> Json:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def call(n: int) -> Json:
    return {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"}


def output(n: int) -> Json:
    return {"type": "function_call_output", "call_id": f"c{n}", "output": "ok"}


def late_outputs(count: int) -> list[Json]:
    calls, outputs = map(call, range(count)), map(output, range(count))
    return [*calls, *(message("user") for _ in range(count)), *outputs]


def spoken(count: int) -> list[Json]:
    return [message("user"), *(message("assistant") for _ in range(count))]


@pytest.mark.parametrize("make", [late_outputs, spoken])
def test_histories_of_the_responses_api(make: Callable[[int], list[Json]]) -> None:
    read = Responses(ResponseStore(), lambda: 0, lambda: "1")
    assert is_linear(read, lambda count: jsonio.encode({"model": "m", "input": make(count)}))


def test_late_outputs_follow_their_calls() -> None:
    read = Responses(ResponseStore(), lambda: 0, lambda: "1")
    chat = read(jsonio.encode({"model": "m", "input": late_outputs(3)})).chat
    roles = [each["role"] for each in chat["messages"]]
    assert roles == ["assistant", "tool", "tool", "tool", "user", "user", "user"]
    assert [each["tool_call_id"] for each in chat["messages"][1:4]] == ["c0", "c1", "c2"]


def test_many_references_to_one_response() -> None:
    def make(count: int) -> tuple[ResponseStore, list[str]]:
        store, ids = ResponseStore(), [f"m{n}" for n in range(count)]
        store.keep("r", [], [{**message("assistant"), "id": id} for id in ids])
        return store, ids

    def run(made: tuple[ResponseStore, list[str]]) -> list[Any]:
        return [made[0].find_item(id) for id in made[1]]

    assert is_linear(run, make)


def candidates(count: int) -> bytes:
    """Many choices in one response."""
    parts = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    return json.dumps({"candidates": [{**parts, "index": n} for n in range(count)]}).encode()


def test_responses_with_many_choices() -> None:
    call = ask()
    assert is_linear(call.read_response, candidates)


def test_citations_read_the_text_once() -> None:
    def body(supports: int) -> bytes:
        segment = {"startIndex": 3_000, "endIndex": 6_000}
        metadata = {
            "groundingChunks": [{"web": {"uri": "https://a.example"}}],
            "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}] * supports,
        }
        content = {"parts": [{"text": "é" * 3_000}]}
        return json.dumps(
            {"candidates": [{"content": content, "groundingMetadata": metadata}]}
        ).encode()

    call = ask()
    completion = call.read_response(body(2))
    citation = completion["choices"][0]["message"]["annotations"][0]["url_citation"]
    assert (citation["start_index"], citation["end_index"]) == (1_500, 3_000)
    one, hundred = (steps_of(partial(call.read_response, body(n))) for n in (1, 100))
    assert hundred - one < 100 * 100

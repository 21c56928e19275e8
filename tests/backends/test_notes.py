"""A note goes before the first text of a response, once, and nowhere else."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from backends import sse
from backends.dialects.chat import ChatEncoder
from backends.notes import Note
from backends.openai_wire import DONE
from backends.stream import Outcome, Pipe, text_of
from backends.vendors.openai_compatible import StreamDecoder


def event(**delta: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    chunk = {"id": "g", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse.block(json.dumps(chunk | {"choices": choices}).encode())


LAST = sse.block(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')


def stream(*events: bytes) -> tuple[list[bytes], Note, Pipe]:
    note = Note("model set to x")
    pipe = Pipe(StreamDecoder("OpenRouter"), ChatEncoder(), Outcome(), note)
    return pipe.feed(b"".join((*events, LAST, DONE))), note, pipe


def test_before_the_first_text() -> None:
    opening = event(role="assistant", content="")
    thought = event(content="", reasoning='"content":"x"')
    given = [b": comment\n\n", opening, thought, event(content="Hi"), event(content="!")]
    pieces, note, pipe = stream(*given)
    assert [p for i, p in enumerate(pieces) if i != 3] == [*given, LAST, DONE]
    chunk = ChatCompletionChunk.model_validate_json(sse.data_of(pieces[3]) or b"")
    assert chunk.choices[0].delta.content == "model set to x\n\n"
    assert (chunk.id, chunk.model) == ("g", "m")
    assert note.is_placed
    assert pipe.text() == "Hi!"


@pytest.mark.parametrize(
    "given",
    [
        [event(tool_calls=[{"index": 0, "function": {"arguments": '{"content":"x"}'}}])],
        [event(content=None)],
        [],
        [b"data: what?\n\n"],
        [sse.block(b'{"choices":[],"content":"x"}')],
    ],
    ids=["tool call", "null", "nothing", "no JSON", "odd"],
)
def test_nowhere_without_text(given: list[bytes]) -> None:
    pieces, note, _ = stream(*given)
    assert pieces == [*given, LAST, DONE]
    assert not note.is_placed


def test_in_a_completion() -> None:
    note = Note("n")
    completion: dict[str, Any] = {"choices": [{"message": {"content": "Hi"}}]}
    assert note.prepend_to(completion)
    assert completion["choices"][0]["message"]["content"] == "n\n\nHi"


@pytest.mark.parametrize(
    "completion",
    [{}, {"choices": []}, {"choices": [{"message": {"content": None}}]}, {"choices": [None]}],
)
def test_not_in_a_completion_without_text(completion: dict[str, Any]) -> None:
    note = Note("n")
    assert not note.prepend_to(completion)
    assert not note.is_placed


@pytest.mark.parametrize(
    "text", ["plain", 'quotes " and \\ slashes \n', "é😀\u2028", "a" * 1000, '"content":"x"']
)
@pytest.mark.parametrize("ascii", [True, False])
def test_the_text_of_a_stream(text: str, ascii: bool) -> None:
    pieces = [text[i : i + 3] for i in range(0, len(text), 3)]
    chunks = [
        json.dumps({"choices": [{"delta": {"content": piece}}]}, ensure_ascii=ascii)
        for piece in pieces
    ]
    assert text_of(b"".join(sse.block(chunk.encode()) for chunk in chunks)) == text


def test_a_surrogate_pair_cut_in_two() -> None:
    assert text_of(b'data: {"content":"\\ud83d"}\n\ndata: {"content":"\\ude00"}\n\n') == "😀"

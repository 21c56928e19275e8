"""The old completions as a dialect of the chat."""

import json
from typing import Any

import pytest
from openai.types import Completion

from backends import jsonio, openai_wire, sse
from backends.dialects.completions import read_completion
from backends.errors import ApiError
from backends.openai_wire import DONE


def request(**given: Any) -> Any:
    return read_completion(json.dumps({"model": "m", "prompt": "Say it"} | given).encode())


def test_a_prompt_becomes_a_chat() -> None:
    chat = request(
        prompt=["Say\n it "], max_tokens=5, stop=["x"], stream=True, echo=False, best_of=1
    )
    assert chat.chat == {
        "model": "m",
        "stream": True,
        "max_tokens": 5,
        "stop": ["x"],
        "messages": [{"role": "user", "content": "Say\n it "}],
    }
    assert chat.body is None


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 5}, "logprobs"),
    ],
)
def test_unsupported(given: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        request(**given)
    assert (caught.value.status, caught.value.param) == (400, param)


COMPLETION: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None}, "finish_reason": "length"},
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def test_whole() -> None:
    completion = Completion.model_validate(request().render(COMPLETION))
    assert [choice.text for choice in completion.choices] == ["Hi", ""]
    assert [choice.finish_reason for choice in completion.choices] == ["stop", "length"]
    assert completion.usage
    assert completion.usage.total_tokens == 3


def test_streamed() -> None:
    encoder = request(stream=True).encoder()
    *chunks, _ = openai_wire.stream_of(COMPLETION)
    events = [data_of(encoder.chunk(chunk)) for chunk in chunks]
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == 0]
    assert "".join(choice["text"] for choice in choices) == "Hi"
    assert [choice["finish_reason"] for choice in choices] == [None, "stop"]
    assert events[-1]["usage"] == COMPLETION["usage"]
    assert encoder.done() == DONE
    assert encoder.chunk(b": comment\n\n") == b": comment\n\n"
    assert encoder.chunk(b"data: nonsense\n\n") == encoder.chunk(b"data: []\n\n") == b""
    assert b'"error"' in encoder.error(ApiError(500, "x"))
    assert encoder.keep_alive().startswith(b":")


@pytest.mark.parametrize(
    "odd", [{}, {"choices": None}, {"choices": [1, {"delta": {"content": 1}}]}]
)
def test_odd_chunks(odd: Any) -> None:
    block = request().encoder().chunk(sse.block(json.dumps(odd).encode()))
    assert data_of(block)["object"] == "text_completion"


def data_of(block: bytes) -> Any:
    return jsonio.decode(sse.data_of(block) or b"")

"""Responses read back as the completions that they were made of."""

import pytest

from backends import jsonio
from backends.dialects.responses.from_response import to_completion
from tests.backends.dialects.responses.asking import ask, chunk, completion

MESSAGES = {
    "text": {"role": "assistant", "content": "Hello"},
    "nothing": {"role": "assistant", "content": ""},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_whole_response_is_read_back(message: dict[str, str]) -> None:
    read = to_completion(jsonio.encode(ask().render(completion(message))))
    assert read is not None
    assert read["choices"][0]["message"] == message


def test_a_stream_counts_once_it_has_its_end() -> None:
    encoder = ask().encoder()
    begun = encoder.chunk(chunk({"content": "Hello"}))
    assert to_completion(begun) is None
    read = to_completion(begun + encoder.done())
    assert read is not None
    assert read["choices"][0]["message"]["content"] == "Hello"

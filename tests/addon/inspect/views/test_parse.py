"""Answers as two of them are compared."""

import json

import pytest

from addon.inspect.views import ModelResponse, ToolCall, read_response
from tests.backends.vendors.gemini.asking import recorded

ERROR = {"error": {"message": "Over", "code": 503}}


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (
            "thinking",
            ModelResponse("Three.", "**Planning**\n\nI count letters.**Checking**\n\nAgain."),
        ),
        (
            "one_call_whole",
            ModelResponse(calls=(ToolCall("weather", '{\n  "location": "Paris"\n}'),)),
        ),
        (
            "parallel_calls",
            ModelResponse(
                calls=(
                    ToolCall("read_screen", '{\n  "id": "A"\n}'),
                    ToolCall("read_screen", '{\n  "id": "A"\n}'),
                    ToolCall("read_theme", "{}"),
                )
            ),
        ),
        (
            "error_after_events",
            ModelResponse(
                "There are",
                error="The model is overloaded. Please try again later.\n"
                "code 503, status UNAVAILABLE",
            ),
        ),
    ],
)
def test_recorded(sample: str, expected: ModelResponse) -> None:
    assert read_response(recorded(sample).body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ModelResponse()),
        (b"<html>", ModelResponse()),
        (json.dumps(ERROR).encode(), ModelResponse(error="Over\ncode 503")),
        (
            b'{"choices": [{"message": {"refusal": "No."}}, {"message": {"content": "Yes."}}]}',
            ModelResponse("No.\nYes."),
        ),
    ],
)
def test_odd(body: bytes, expected: ModelResponse) -> None:
    assert read_response(body) == expected

"""Answers as two of them are compared."""

import json

import pytest

from addon.inspect.views import Answer, Call, read_answer
from tests.backends.vendors.gemini.asking import recorded

ERROR = {"error": {"message": "Over", "code": 503}}


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("thinking", Answer("Three.", "**Planning**\n\nI count letters.**Checking**\n\nAgain.")),
        (
            "one_call_whole",
            Answer(calls=(Call("weather", '{\n  "location": "Paris"\n}'),)),
        ),
        (
            "parallel_calls",
            Answer(
                calls=(
                    Call("read_screen", '{\n  "id": "A"\n}'),
                    Call("read_screen", '{\n  "id": "A"\n}'),
                    Call("read_theme", "{}"),
                )
            ),
        ),
        (
            "error_after_events",
            Answer(
                "There are",
                error="The model is overloaded. Please try again later.\n"
                "code 503, status UNAVAILABLE",
            ),
        ),
    ],
)
def test_recorded(sample: str, expected: Answer) -> None:
    assert read_answer(recorded(sample).body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", Answer()),
        (b"<html>", Answer()),
        (json.dumps(ERROR).encode(), Answer(error="Over\ncode 503")),
        (
            b'{"choices": [{"message": {"refusal": "No."}}, {"message": {"content": "Yes."}}]}',
            Answer("No.\nYes."),
        ),
    ],
)
def test_odd(body: bytes, expected: Answer) -> None:
    assert read_answer(body) == expected

from typing import Any

import pytest

from backends import jsonio
from backends.usage import Usage, read_usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ([], None),
        ({}, Usage()),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 50},
                "completion_tokens_details": {"reasoning_tokens": 4},
                "cost": 0.01,
            },
            Usage(100, 10, 50, 4, 0.01),
        ),
        ({"prompt_tokens": 3.0, "completion_tokens_details": None, "cost": 0}, Usage(3, cost=0)),
        ({"prompt_tokens": "7", "cost": "free", "prompt_tokens_details": 5}, Usage()),
        ({"prompt_tokens": 10**400, "completion_tokens": True}, Usage()),
        ({"prompt_tokens": float("nan"), "cost": float("inf")}, Usage()),
    ],
)
def test_read_usage(usage: Any, expected: Usage | None) -> None:
    assert read_usage(usage) == expected


def test_a_number_of_hundreds_of_digits_is_none() -> None:
    assert jsonio.number(jsonio.decode(b"1" * 400)) is None

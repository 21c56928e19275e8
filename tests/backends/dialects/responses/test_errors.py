"""Failures in the words that Codex acts on."""

import pytest

from backends.dialects.responses.errors import to_error
from backends.errors import ApiError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApiError(400, "x", code="context_length_exceeded"), "context_length_exceeded"),
        (ApiError(400, "x"), "invalid_prompt"),
        (ApiError(401, "x"), "invalid_prompt"),
        (ApiError(402, "x"), "insufficient_quota"),
        (ApiError(403, "x"), "invalid_prompt"),
        (ApiError(408, "x"), "server_error"),
        (ApiError(429, "x"), "rate_limit_exceeded"),
        (ApiError(429, "x", code="insufficient_quota"), "insufficient_quota"),
        (ApiError(429, "x", code="other"), "rate_limit_exceeded"),
        (ApiError(500, "x"), "server_error"),
        (ApiError(502, "x", code="provider_overloaded"), "server_is_overloaded"),
        (ApiError(503, "x"), "server_is_overloaded"),
        (ApiError(504, "x"), "server_error"),
        (ApiError(529, "x"), "server_is_overloaded"),
    ],
)
def test_codes(error: ApiError, code: str) -> None:
    assert to_error(error) == {"code": code, "message": "x"}


@pytest.mark.parametrize(
    ("message", "headers", "expected"),
    [
        ("Slow.", [("retry-after", "20")], "Slow. Please try again in 20s."),
        ("Slow.", [("retry-after", "1.5")], "Slow. Please try again in 1.5s."),
        (
            "Slow.",
            [("retry-after", "2"), ("retry-after-ms", "1500")],
            "Slow. Please try again in 1500ms.",
        ),
        ("Slow.", [("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "Slow."),
        ("Slow.", [], "Slow."),
        ("Try again in 3s.", [("retry-after", "20")], "Try again in 3s."),
    ],
)
def test_the_time_to_wait(message: str, headers: list[tuple[str, str]], expected: str) -> None:
    assert to_error(ApiError(429, message, headers=headers))["message"] == expected


def test_only_a_rate_limit_has_a_time_to_wait() -> None:
    error = ApiError(503, "Busy.", headers=[("retry-after", "20")])
    assert to_error(error)["message"] == "Busy."

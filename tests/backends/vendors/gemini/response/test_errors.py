"""Gemini's errors, and the status, type, code and headers that clients get."""

import json
from typing import Any

import pytest

from backends.vendors.gemini.response import errors
from tests.backends.vendors.gemini.asking import ask, recorded

GOOGLE = "type.googleapis.com/google.rpc."


def retry(delay: str) -> list[dict[str, Any]]:
    return [{"@type": f"{GOOGLE}RetryInfo", "retryDelay": delay}]


TOO_LONG = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
LIMIT_0 = "Quota exceeded for metric: x, limit: 0, model: gemini-3-pro"

# (status, name, message, details), (status, type, code)
ERRORS: list[tuple[tuple[int, str, str, Any], tuple[int, str, str | None]]] = [
    ((400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", None),
     (401, "authentication_error", "invalid_api_key")),
    ((400, "INVALID_ARGUMENT", "x", [{"reason": "API_KEY_INVALID"}]),
     (401, "authentication_error", "invalid_api_key")),
    ((400, "INVALID_ARGUMENT", TOO_LONG, None),
     (400, "invalid_request_error", "context_length_exceeded")),
    ((400, "FAILED_PRECONDITION", "User location is not supported for the API use.", None),
     (400, "invalid_request_error", "failed_precondition")),
    ((400, "INVALID_ARGUMENT", "x", None), (400, "invalid_request_error", None)),
    ((401, "UNAUTHENTICATED", "x", None), (401, "authentication_error", "invalid_api_key")),
    ((403, "PERMISSION_DENIED", "x", None), (403, "permission_error", "permission_denied")),
    ((404, "NOT_FOUND", "x", None), (404, "invalid_request_error", "model_not_found")),
    ((408, "x", "x", None), (504, "timeout_error", "timeout")),
    ((499, "CANCELLED", "x", None), (504, "timeout_error", "timeout")),
    ((504, "DEADLINE_EXCEEDED", "x", None), (504, "timeout_error", "timeout")),
    ((413, "x", "x", None), (413, "invalid_request_error", "request_too_large")),
    ((429, "RESOURCE_EXHAUSTED", "x", None), (429, "rate_limit_error", "rate_limit_exceeded")),
    ((429, "RESOURCE_EXHAUSTED", "x", retry("300s")),
     (429, "rate_limit_error", "rate_limit_exceeded")),
    ((429, "RESOURCE_EXHAUSTED", "x", retry("301s")),
     (429, "insufficient_quota", "insufficient_quota")),
    ((429, "RESOURCE_EXHAUSTED", LIMIT_0, None),
     (429, "insufficient_quota", "insufficient_quota")),
    ((500, "INTERNAL", "x", None), (500, "server_error", "internal_error")),
    ((502, "x", "x", None), (502, "server_error", None)),
    ((503, "UNAVAILABLE", "x", None), (503, "server_error", "overloaded")),
    ((418, "x", "x", None), (418, "invalid_request_error", None)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), ERRORS)
def test_errors(given: tuple[int, str, str, Any], expected: tuple[int, str, str | None]) -> None:
    status, name, message, details = given
    error = {"code": status, "message": message, "status": name, "details": details}
    body = json.dumps({"error": error}).encode()
    for made in errors.read(status, "application/json", body), errors.to_api_error(error):
        assert (made.status, made.type, made.code) == expected
        assert made.message == message
        assert ("x-upstream-status", str(status)) in made.headers


@pytest.mark.parametrize(
    ("name", "status", "code", "headers"),
    [
        (
            "rate_limit",
            429,
            "rate_limit_exceeded",
            {"x-upstream-status": "429", "retry-after": "35", "retry-after-ms": "34400"},
        ),
        (
            "daily_quota",
            429,
            "insufficient_quota",
            {
                "x-upstream-status": "429",
                "retry-after": "13",
                "retry-after-ms": "12500",
                "x-should-retry": "false",
            },
        ),
        ("bad_key", 401, "invalid_api_key", {"x-upstream-status": "400"}),
        ("unknown_name", 400, None, {"x-upstream-status": "400"}),
        ("overloaded", 503, "overloaded", {"x-upstream-status": "503"}),
        ("overloaded_list", 503, "overloaded", {"x-upstream-status": "503"}),
    ],
)
def test_recorded(name: str, status: int, code: str | None, headers: dict[str, str]) -> None:
    answer = recorded(name)
    error = ask().read_error(answer.status, "application/json", answer.body)
    assert (error.status, error.code) == (status, code)
    assert dict(error.headers) == headers
    assert error.body()["error"].keys() == {"message", "type", "param", "code"}


def test_the_field_at_fault() -> None:
    answer = recorded("unknown_name")
    error = errors.read(answer.status, "", answer.body)
    assert error.param == "tools[0].function_declarations[0]"


@pytest.mark.parametrize(
    ("details", "message", "seconds", "milliseconds"),
    [
        (retry("34.4s"), "", "35", "34400"),
        (retry("900ms"), "", "1", "900"),
        (retry("7"), "", "7", "7000"),
        (retry("2s"), "Please retry in 9s.", "2", "2000"),
        ([], "Please retry in 34.074824224s.", "35", "34075"),
        ([], "Please retry in 250ms.", "1", "250"),
        (retry("soon"), "", None, None),
        (retry("1.2.3s"), "", None, None),
        (retry("9" * 400 + "s"), "", None, None),
        ([], "Please retry in ...s.", None, None),
        ([], "Try later.", None, None),
    ],
)
def test_retry_delay(
    details: Any, message: str, seconds: str | None, milliseconds: str | None
) -> None:
    error = errors.to_api_error({"code": 429, "message": message or "m", "details": details})
    headers = dict(error.headers)
    assert headers.get("retry-after") == seconds
    assert headers.get("retry-after-ms") == milliseconds


@pytest.mark.parametrize(
    ("status", "body", "ours", "says"),
    [
        (502, b"<html><title>Error 502 (Server Error)</title></html>", 502, "Error 502"),
        (403, b"", 403, "HTTP 403 and text/html"),
        (302, b"[]", 502, "HTTP 302"),
        (500, b'{"error": "x"}', 500, "HTTP 500"),
        (500, b'{"error": {}}', 500, "without a message"),
    ],
)
def test_responses_without_an_error_object(status: int, body: bytes, ours: int, says: str) -> None:
    error = errors.read(status, "text/html", body)
    assert error.status == ours
    assert says in error.message


def test_a_field_that_is_not_a_string() -> None:
    details = [{"fieldViolations": [{"field": 3}, {"field": "contents"}]}]
    assert errors.to_api_error({"code": 400, "details": details}).param == "contents"


def test_a_long_message() -> None:
    """In linear time: a pattern for both halves would need the square."""
    error = errors.to_api_error({"code": 400, "message": "input token count " * 50_000})
    assert error.code is None


def test_an_error_that_is_not_an_object() -> None:
    error = errors.to_api_error("boom")
    assert (error.status, error.message) == (502, "boom")

"""Converts Gemini's errors, from error responses and from streams, to `ApiError`.

An error is `{"error": {"code", "message", "status", "details": [{"@type", ...}]}}`. For streamed
requests it can be a list with one such object (tests/wire/gemini).
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from backends import jsonio
from backends.errors import ApiError, describe_response, error_status
from backends.jsonio import Json, number, objects, string

MAX_RATE_DELAY_S = 300.0
"""A longer delay means an exhausted quota, not a rate limit."""

_BAD_KEY = re.compile(r"api key (?:not valid|expired)", re.IGNORECASE)
_NO_QUOTA = re.compile(r"\blimit: 0\b")
_RETRY_TEXT = re.compile(r"retry in (\d+(?:\.\d+)?(?:ms|s))")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")


class _ErrorFacts(NamedTuple):
    """The facts about a Gemini error that the table below needs."""

    status: int
    name: str
    message: str
    reasons: frozenset[str]
    quotas: tuple[str, ...]
    field: str | None
    delay_s: float | None


class _ErrorRule(NamedTuple):
    """A row: which errors it matches, and their OpenAI equivalent."""

    matches: Callable[[_ErrorFacts], bool]
    status: int | None
    """None keeps the error's own status."""
    type: str
    code: str | None


def _is_bad_key(facts: _ErrorFacts) -> bool:
    is_named = "API_KEY_INVALID" in facts.reasons or bool(_BAD_KEY.search(facts.message))
    return facts.status == 401 or (facts.status == 400 and is_named)


def _is_too_long(facts: _ErrorFacts) -> bool:
    message = facts.message.lower()
    is_named = "input token count " in message and "exceeds the maximum" in message
    return facts.status == 400 and is_named


def _is_precondition(facts: _ErrorFacts) -> bool:
    """An unsupported region or billing account."""
    return facts.status == 400 and facts.name == "FAILED_PRECONDITION"


def _is_out_of_quota(facts: _ErrorFacts) -> bool:
    is_daily = any("PerDay" in quota for quota in facts.quotas)
    is_over = is_daily or bool(_NO_QUOTA.search(facts.message))
    return facts.status == 429 and (is_over or (facts.delay_s or 0) > MAX_RATE_DELAY_S)


def _has_status(*statuses: int) -> Callable[[_ErrorFacts], bool]:
    return lambda facts: facts.status in statuses


# The first row that matches wins.
_ERROR_RULES: tuple[_ErrorRule, ...] = (
    _ErrorRule(_is_bad_key, 401, "authentication_error", "invalid_api_key"),
    _ErrorRule(_is_too_long, 400, "invalid_request_error", "context_length_exceeded"),
    _ErrorRule(_is_precondition, 400, "invalid_request_error", "failed_precondition"),
    _ErrorRule(_has_status(400), 400, "invalid_request_error", None),
    _ErrorRule(_has_status(403), 403, "permission_error", "permission_denied"),
    _ErrorRule(_has_status(404), 404, "invalid_request_error", "model_not_found"),
    _ErrorRule(_has_status(408, 499, 504), 504, "timeout_error", "timeout"),
    _ErrorRule(_has_status(413), 413, "invalid_request_error", "request_too_large"),
    _ErrorRule(_is_out_of_quota, 429, "insufficient_quota", "insufficient_quota"),
    _ErrorRule(_has_status(429), 429, "rate_limit_error", "rate_limit_exceeded"),
    _ErrorRule(_has_status(500), 500, "server_error", "internal_error"),
    _ErrorRule(_has_status(503), 503, "server_error", "overloaded"),
    _ErrorRule(_has_status(*range(400, 500)), None, "invalid_request_error", None),
    _ErrorRule(lambda facts: True, None, "server_error", None),
)


def read(status: int, content_type: str, body: bytes) -> ApiError:
    """Read an error response. Google's front ends send HTML pages, not JSON."""
    try:
        value = jsonio.decode(body)
    except ValueError:
        value = None
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and isinstance(value.get("error"), dict):
        return to_api_error(value["error"], status)
    message = describe_response("Gemini", status, content_type, body)
    return to_api_error({"message": message}, status)


def to_api_error(error: Any, status: int | None = None) -> ApiError:
    """Convert an error object. `status` is the HTTP status of an error response, else None."""
    facts = _read_facts(error if isinstance(error, dict) else {"message": str(error)}, status)
    rule = next(rule for rule in _ERROR_RULES if rule.matches(facts))
    return ApiError(
        rule.status or error_status(facts.status) or 502,
        facts.message,
        type=rule.type,
        code=rule.code,
        param=facts.field if rule.status == 400 else None,
        headers=_headers(facts, rule),
    )


def _read_facts(error: Json, status: int | None) -> _ErrorFacts:
    details = objects(error.get("details"))
    message = str(error.get("message") or "Gemini reported an error without a message")
    violations = [
        violation
        for detail in details
        for violation in objects(detail.get("violations") or detail.get("fieldViolations"))
    ]
    return _ErrorFacts(
        status=status or error_status(error.get("code")) or 502,
        name=str(error.get("status")),
        message=message,
        reasons=frozenset(str(detail.get("reason")) for detail in details),
        quotas=tuple(str(violation.get("quotaId")) for violation in violations),
        field=next(filter(None, (string(each.get("field")) for each in violations)), None),
        delay_s=_delay(details, message),
    )


def _delay(details: list[Json], message: str) -> float | None:
    """Seconds to wait, from RetryInfo or the message: `34.4s`, `900ms` or a bare number."""
    delays = [str(detail["retryDelay"]) for detail in details if "retryDelay" in detail]
    if text := _RETRY_TEXT.search(message):
        delays.append(text[1])
    parsed = _DURATION.fullmatch(delays[0]) if delays else None
    if not parsed:
        return None
    return number(float(parsed[1]) / (1000 if parsed[2] == "ms" else 1))


def _headers(facts: _ErrorFacts, rule: _ErrorRule) -> Iterator[tuple[str, str]]:
    yield "x-upstream-status", str(facts.status)
    if facts.delay_s is not None:
        yield "retry-after", str(math.ceil(facts.delay_s))
        yield "retry-after-ms", str(math.ceil(facts.delay_s * 1000))
    if rule.code == "insufficient_quota":
        yield "x-should-retry", "false"

"""Converts Gemini's errors, from error responses and from streams, to `ApiError`.

An error is `{"error": {"code", "message", "status", "details": [{"@type", ...}]}}`. For streamed
requests it can be a list with one such object (tests/wire/gemini).
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from backends import jsonio
from backends.errors import ApiError, describe_response
from backends.jsonio import Json, number, objects, string

MAX_RATE_DELAY_S = 300.0
"""A longer delay means an exhausted quota, not a rate limit."""

_BAD_KEY = re.compile(r"api key (?:not valid|expired)", re.IGNORECASE)
_NO_QUOTA = re.compile(r"\blimit: 0\b")
_RETRY_TEXT = re.compile(r"retry in (\d+(?:\.\d+)?(?:ms|s))")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")


class _Fault(NamedTuple):
    """The facts about a Gemini error that the table below needs."""

    status: int
    name: str
    message: str
    reasons: frozenset[str]
    quotas: tuple[str, ...]
    field: str | None
    delay_s: float | None


class _Kind(NamedTuple):
    """A row: which errors it matches, and their OpenAI equivalent."""

    fits: Callable[[_Fault], bool]
    status: int | None
    """None keeps the error's own status."""
    type: str
    code: str | None


def _is_bad_key(fault: _Fault) -> bool:
    is_named = "API_KEY_INVALID" in fault.reasons or bool(_BAD_KEY.search(fault.message))
    return fault.status == 401 or (fault.status == 400 and is_named)


def _is_too_long(fault: _Fault) -> bool:
    message = fault.message.lower()
    is_named = "input token count " in message and "exceeds the maximum" in message
    return fault.status == 400 and is_named


def _is_precondition(fault: _Fault) -> bool:
    """An unsupported region or billing account."""
    return fault.status == 400 and fault.name == "FAILED_PRECONDITION"


def _is_out_of_quota(fault: _Fault) -> bool:
    is_daily = any("PerDay" in quota for quota in fault.quotas)
    is_over = is_daily or bool(_NO_QUOTA.search(fault.message))
    return fault.status == 429 and (is_over or (fault.delay_s or 0) > MAX_RATE_DELAY_S)


def _has(*statuses: int) -> Callable[[_Fault], bool]:
    return lambda fault: fault.status in statuses


# The first row that matches wins.
_KINDS: tuple[_Kind, ...] = (
    _Kind(_is_bad_key, 401, "authentication_error", "invalid_api_key"),
    _Kind(_is_too_long, 400, "invalid_request_error", "context_length_exceeded"),
    _Kind(_is_precondition, 400, "invalid_request_error", "failed_precondition"),
    _Kind(_has(400), 400, "invalid_request_error", None),
    _Kind(_has(403), 403, "permission_error", "permission_denied"),
    _Kind(_has(404), 404, "invalid_request_error", "model_not_found"),
    _Kind(_has(408, 499, 504), 504, "timeout_error", "timeout"),
    _Kind(_has(413), 413, "invalid_request_error", "request_too_large"),
    _Kind(_is_out_of_quota, 429, "insufficient_quota", "insufficient_quota"),
    _Kind(_has(429), 429, "rate_limit_error", "rate_limit_exceeded"),
    _Kind(_has(500), 500, "server_error", "internal_error"),
    _Kind(_has(503), 503, "server_error", "overloaded"),
    _Kind(_has(*range(400, 500)), None, "invalid_request_error", None),
    _Kind(lambda fault: True, None, "server_error", None),
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
    fault = _read_fault(error if isinstance(error, dict) else {"message": str(error)}, status)
    kind = next(kind for kind in _KINDS if kind.fits(fault))
    return ApiError(
        kind.status or (fault.status if 400 <= fault.status <= 599 else 502),
        fault.message,
        type=kind.type,
        code=kind.code,
        param=fault.field if kind.status == 400 else None,
        headers=_headers(fault, kind),
    )


def _read_fault(error: Json, status: int | None) -> _Fault:
    code = error.get("code")
    details = objects(error.get("details"))
    message = str(error.get("message") or "Gemini reported an error without a message")
    violations = [
        violation
        for detail in details
        for violation in objects(detail.get("violations") or detail.get("fieldViolations"))
    ]
    return _Fault(
        status=status or (code if isinstance(code, int) else 502),
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
    delay = number(float(parsed[1])) if parsed else None
    if parsed is None or delay is None:
        return None
    return delay / (1000 if parsed[2] == "ms" else 1)


def _headers(fault: _Fault, kind: _Kind) -> Iterator[tuple[str, str]]:
    yield "x-upstream-status", str(fault.status)
    if fault.delay_s is not None:
        yield "retry-after", str(math.ceil(fault.delay_s))
        yield "retry-after-ms", str(math.ceil(fault.delay_s * 1000))
    if kind.code == "insufficient_quota":
        yield "x-should-retry", "false"

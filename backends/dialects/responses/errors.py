"""Translates an error for a failed response. Codex decides by its code what to do next."""

import re
from collections.abc import Mapping

from backends.errors import ApiError
from backends.jsonio import Json

RATE_LIMIT = "rate_limit_exceeded"

# From Codex's event reader. It stops, compacts or shows a notice on these, and waits on a rate
# limit. It retries on any other code, up to five times.
_KNOWN = frozenset(
    {
        "context_length_exceeded",
        "insufficient_quota",
        "usage_not_included",
        "invalid_prompt",
        "cyber_policy",
        "server_is_overloaded",
        "slow_down",
        RATE_LIMIT,
    }
)
_CODES: Mapping[str | None, str] = {
    **{code: code for code in _KNOWN},
    "overloaded": "server_is_overloaded",
    # OpenRouter's `error_type`s.
    "provider_overloaded": "server_is_overloaded",
    "payment_required": "insufficient_quota",
    "token_limit_exceeded": "context_length_exceeded",
    "string_too_long": "context_length_exceeded",
}
_STATUSES: Mapping[int, str] = {
    # A retry would not help.
    **dict.fromkeys((400, 401, 403, 404, 413, 422), "invalid_prompt"),
    402: "insufficient_quota",
    429: RATE_LIMIT,
    **dict.fromkeys((503, 529), "server_is_overloaded"),
}
_SECONDS = re.compile(r"\d+(?:\.\d+)?")
_UNITS = {"retry-after-ms": "ms", "retry-after": "s"}


def to_error(error: ApiError) -> Json:
    """The `error` of a failed response."""
    code = _CODES.get(error.code) or _STATUSES.get(error.status, "server_error")
    return {"code": code, "message": error.message + (_wait(error) if code == RATE_LIMIT else "")}


def _wait(error: ApiError) -> str:
    """The time to wait, in the form that Codex reads from a message."""
    if "try again in" in error.message.lower():
        return ""
    fields = dict(error.headers)
    waits = (
        f" Please try again in {fields[name]}{unit}."
        for name, unit in _UNITS.items()
        if _SECONDS.fullmatch(fields.get(name, ""))
    )
    return next(waits, "")

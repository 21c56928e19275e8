"""Maps Gemini's finish reasons to OpenAI's."""

from collections.abc import Mapping

from backends.errors import ApiError

# Keyed by strings, as the service has more values than any SDK. The caller turns "stop" into
# "tool_calls" if there are calls, as Gemini has no separate reason for them.
REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # the limit of a single request (Gemini 4)
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "ESCALATION",
            "PUP_LIMITED_DISABLED",
            "MODEL_ARMOR",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}

# Failures of the model. Reported as a normal end, an agent would consider its task complete.
FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "MALFORMED_RESPONSE",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)


def check(reason: str | None, message: object) -> None:
    """Raise ApiError if a response ended in a failure; `message` is Gemini's `finishMessage`."""
    if reason and reason in FAILURES:
        detail = f": {message}" if message else ""
        raise ApiError(502, f"Gemini's response ended with {reason}{detail}", code=reason.lower())


def to_openai(reason: str | None, *, has_answer: bool) -> str:
    """The finish reason of a choice without calls.

    Streams with thoughts only can end without a reason (issue reports). An unknown reason counts
    as "stop" if there is text or a call, else as "content_filter".
    """
    if reason is None:
        return "stop"
    return REASONS.get(reason, "stop" if has_answer else "content_filter")

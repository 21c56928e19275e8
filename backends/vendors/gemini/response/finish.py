"""Why a Gemini model stopped, in OpenAI's words."""

from collections.abc import Mapping

from backends.errors import ApiError

# Keyed by the string, since the service knows more values than any SDK. "stop" becomes
# "tool_calls" where there are calls: Gemini has no reason of its own for them.
REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # the cap of a single request was met (Gemini 4)
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

# The model tried to do something that it could not. As a normal end an agent would take it for the
# end of its task.
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
    """ApiError if an answer ended in a failure; `message` is Gemini's `finishMessage`."""
    if reason and reason in FAILURES:
        detail = f": {message}" if message else ""
        raise ApiError(502, f"Gemini's answer ended with {reason}{detail}", code=reason.lower())


def to_openai(reason: str | None, *, has_answer: bool) -> str:
    """The finish reason of a choice without calls.

    None: a stream that just ended, as those with nothing but thoughts do (issue reports). An
    unknown reason counts as an end where there is an answer, and as a filter where there is none.
    """
    if reason is None:
        return "stop"
    return REASONS.get(reason, "stop" if has_answer else "content_filter")

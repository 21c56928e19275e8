"""Retry rules for requests that Gemini refuses and responses that it breaks: a table.

The other tables of this package come from documentation and issue reports, and models change. The
retries keep a wrong row from ending a session.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from backends.errors import ApiError
from backends.vendors.gemini.request.request import Manner
from backends.vendors.gemini.response.response import EMPTY


class RetryRule(NamedTuple):
    """Which errors to retry, and with which change to the request."""

    name: str
    applies_to: Callable[[ApiError, str | None], bool]
    """From an error and the request's function calling mode."""
    change: Callable[[Manner], Manner]
    max_uses: int = 1
    """For one prompt."""
    resends: bool = False
    """Whether to retry even if the change leaves the body as it was."""


def _status_400(pattern: str) -> Callable[[ApiError, str | None], bool]:
    """Match a 400 by its message, ignoring case."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda error, mode: error.status == 400 and bool(compiled.search(error.message))


def _has_code(*codes: str) -> Callable[[ApiError, str | None], bool]:
    """Match the code of a failed response."""
    return lambda error, mode: error.code in codes


def _called_despite_mode_none(error: ApiError, mode: str | None) -> bool:
    """Some 2.5 models call declared tools in mode NONE, too (issue reports)."""
    return error.code == "unexpected_tool_call" and mode == "NONE"


def _without_minimal(manner: Manner) -> Manner:
    return replace(manner, is_minimal_known=False)


def _without_signatures(manner: Manner) -> Manner:
    return replace(manner, are_signatures_refused=True)


def _without_constraints(manner: Manner) -> Manner:
    return replace(manner, carrier=manner.carrier._replace(is_loose=True))


def _other_carrier(manner: Manner) -> Manner:
    return replace(manner, carrier=manner.carrier._replace(is_json=False))


def _without_tools(manner: Manner) -> Manner:
    return replace(manner, has_tools=False)


def _unchanged(manner: Manner) -> Manner:
    return manner


# The first rule that applies and changes the body wins. Messages are from issue reports.
RETRY_RULES: tuple[RetryRule, ...] = (
    RetryRule("minimal", _status_400("thinking level MINIMAL is not supported"), _without_minimal),
    RetryRule("signatures", _status_400("thought.?signature"), _without_signatures),
    RetryRule("constraints", _status_400("too many states"), _without_constraints),
    # The last message is generic; the most frequent cause is a schema.
    RetryRule(
        "carrier",
        _status_400(r"schema|function_?declarations|\bparameters\b|contains an invalid argument"),
        _other_carrier,
    ),
    RetryRule("missing signature", _has_code("missing_thought_signature"), _without_signatures),
    RetryRule("forbidden tools", _called_despite_mode_none, _without_tools),
    RetryRule("once more", _has_code("unexpected_tool_call", EMPTY), _unchanged, resends=True),
    RetryRule(
        "twice more",
        _has_code("malformed_function_call", "malformed_response", "too_many_tool_calls"),
        _unchanged,
        max_uses=2,
        resends=True,
    ),
)


def lesson_of(manner: Manner) -> Manner:
    """What holds for the model, of a manner that it has answered to; the rest is the prompt's."""
    carrier = manner.carrier._replace(is_loose=False)
    return Manner(carrier=carrier, is_minimal_known=manner.is_minimal_known)

"""Retry rules for requests that Gemini refuses and responses that it breaks: a table.

The other tables of this package come from documentation and issue reports, and models change. The
retries keep a wrong row from ending a session.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from backends.errors import ApiError
from backends.vendors.gemini.request.request import RequestVariant
from backends.vendors.gemini.response.response import EMPTY


class RetryRule(NamedTuple):
    """Which errors to retry, and with which change to the request."""

    name: str
    applies_to: Callable[[ApiError, str | None], bool]
    """From an error and the request's function calling mode."""
    change: Callable[[RequestVariant], RequestVariant]
    max_uses: int = 1
    """For one prompt."""
    resends: bool = False
    """Whether to retry even if the change leaves the body as it was."""


def _bad_request_with(pattern: str) -> Callable[[ApiError, str | None], bool]:
    """Match a 400 by its message, ignoring case."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda error, mode: error.status == 400 and bool(compiled.search(error.message))


def _has_code(*codes: str) -> Callable[[ApiError, str | None], bool]:
    """Match the code of a failed response."""
    return lambda error, mode: error.code in codes


def _called_despite_mode_none(error: ApiError, mode: str | None) -> bool:
    """Some 2.5 models call declared tools in mode NONE, too (issue reports)."""
    return error.code == "unexpected_tool_call" and mode == "NONE"


def _without_minimal(variant: RequestVariant) -> RequestVariant:
    return replace(variant, has_minimal_level=False)


def _without_signatures(variant: RequestVariant) -> RequestVariant:
    return replace(variant, sends_signatures=False)


def _with_relaxed_schema(variant: RequestVariant) -> RequestVariant:
    return replace(variant, schema_format=variant.schema_format._replace(is_relaxed=True))


def _with_proto_schema(variant: RequestVariant) -> RequestVariant:
    return replace(variant, schema_format=variant.schema_format._replace(is_json_schema=False))


def _without_tools(variant: RequestVariant) -> RequestVariant:
    return replace(variant, sends_tools=False)


def _unchanged(variant: RequestVariant) -> RequestVariant:
    return variant


# The first rule that applies and changes the body wins. Messages are from issue reports.
RETRY_RULES: tuple[RetryRule, ...] = (
    RetryRule(
        "minimal", _bad_request_with("thinking level MINIMAL is not supported"), _without_minimal
    ),
    RetryRule("signatures", _bad_request_with("thought.?signature"), _without_signatures),
    RetryRule("constraints", _bad_request_with("too many states"), _with_relaxed_schema),
    # The last message is generic; the most frequent cause is a schema.
    RetryRule(
        "schema format",
        _bad_request_with(
            r"schema|function_?declarations|\bparameters\b|contains an invalid argument"
        ),
        _with_proto_schema,
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


def model_variant(variant: RequestVariant) -> RequestVariant:
    """The part of an accepted variant that holds for every prompt to the model."""
    schema_format = variant.schema_format._replace(is_relaxed=False)
    return RequestVariant(schema_format=schema_format, has_minimal_level=variant.has_minimal_level)

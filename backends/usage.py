"""Reads token counts and cost of a response from OpenAI's `usage` object."""

from collections.abc import Mapping
from dataclasses import dataclass

from backends.jsonio import count, fields, number


@dataclass(frozen=True, slots=True)
class Usage:
    """What the upstream counted for one response."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that came from a cache."""
    reasoning_tokens: int = 0
    """Completion tokens used for reasoning."""
    cost: float | None = None
    """In USD; None if the upstream does not say."""


def read_usage(usage: object) -> Usage | None:
    """The counts in OpenAI's `usage`, 0 for what is missing; None if it is not an object."""
    if not isinstance(usage, Mapping):
        return None
    return Usage(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        count(fields(usage.get("prompt_tokens_details")).get("cached_tokens")),
        count(fields(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        number(usage.get("cost")),
    )

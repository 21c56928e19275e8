"""Reads token counts and cost of a response from OpenAI's `usage` object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.jsonio import number


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
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        _count(usage.get("prompt_tokens_details"), "cached_tokens"),
        _count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        number(usage.get("cost")),
    )


def _count(counts: Mapping[str, Any] | Any, name: str) -> int:
    value = number(counts.get(name)) if isinstance(counts, Mapping) else None
    return int(value or 0)

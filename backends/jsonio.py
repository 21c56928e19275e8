"""Fast JSON decoding and encoding that preserve key order and all values.

`pydantic_core` does the work. The standard library takes over for two things that it refuses but
agents send: lone surrogates (a tool cut an emoji in half) and nesting deeper than 200.
"""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

Json = dict[str, Any]
"""Any JSON object."""

Warnings = list[str]
"""`<parameter>=<reason>` for each dropped parameter that would affect the response."""


def decode(body: bytes) -> Any:
    """Parse one JSON text. Raises ValueError, which names the position."""
    try:
        return from_json(body, cache_strings="keys")  # values seldom repeat
    except ValueError as first:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise first from None


def decode_object(body: bytes) -> Json | None:
    """The JSON object in a body; None if the body holds anything else."""
    try:
        value = decode(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8. Lone surrogates become escapes."""
    try:
        return to_json(value)
    except (PydanticSerializationError, ValueError):
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def objects(value: object) -> list[Json]:
    """The objects in a JSON list; empty if it is not a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def fields(value: object) -> Json:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str | None:
    """A non-empty JSON string; None for anything else."""
    return value if isinstance(value, str) and value else None


MAX_NUMBER = 1e15
"""Larger numbers in foreign JSON are errors; soon after, floats lose integer precision."""


def number(value: object) -> float | None:
    """A JSON number within MAX_NUMBER; None for anything else, including booleans and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -MAX_NUMBER < value < MAX_NUMBER else None


def count(value: object) -> int:
    """A JSON number as a whole one; 0 for anything else."""
    return int(number(value) or 0)

"""JSON on the hot path: bytes to Python and back, key order and every value kept.

`pydantic_core` does the work; the standard library takes over for the two things it refuses and
agents do send: lone surrogates (half an emoji cut off by a tool) and nesting deeper than 200.
"""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

Json = dict[str, Any]
"""Any JSON object."""

Warnings = list[str]
"""`<parameter>=<reason>` for what was left out though it changes the answer or its limits."""


def decode(body: bytes) -> Any:
    """Parse one JSON text; raises ValueError that says where it is broken."""
    try:
        return from_json(body, cache_strings="keys")  # values seldom come twice
    except ValueError as first:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise first from None


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8; lone surrogates come out as the escapes they came in as."""
    try:
        return to_json(value)
    except (PydanticSerializationError, ValueError):
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def objects(value: object) -> list[Json]:
    """The objects in a JSON list; none if it is not a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def string(value: object) -> str | None:
    """A JSON string that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


MAX_NUMBER = 1e15
"""Above it a number in foreign JSON is nonsense, and floats lose whole numbers soon after."""


def number(value: object) -> float | None:
    """A JSON number of a sensible size; None for anything else, booleans and NaN included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -MAX_NUMBER < value < MAX_NUMBER else None

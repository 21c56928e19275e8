"""Fast JSON decoding and encoding that preserve key order and all values.

`pydantic_core` does the work. The standard library takes over for two things that it refuses but
agents send: lone surrogates (a tool cut an emoji in half) and nesting deeper than 200.
"""

import json
import re
from itertools import islice
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

Json = dict[str, Any]
"""Any JSON object."""

Warnings = list[str]
"""`<parameter>=<reason>` for each dropped parameter that would affect the response."""

_MARKS = (b"{", b"[", b",")
# Skips strings and empty objects and lists. Never goes back, so it takes linear time.
_TO_NEXT_VALUE = re.compile(
    rb"""(?: [^"{\[,]++ | "(?:[^"\\]++|\\.)*+"? | [{\[](?=\s*[}\]]) )*+ ([{\[,])?""",
    re.DOTALL | re.VERBOSE,
)


def has_more_values(body: bytes, limit: int) -> bool:
    """Whether a JSON text has more values than `limit`, which is at least 1.

    A comma or a bracket announces each value but the first. Counting them takes far less time and
    memory than decoding. The text need not be valid.
    """
    if sum(map(body.count, _MARKS)) < limit:
        return False  # with those in strings, which can be code
    found = (match for match in _TO_NEXT_VALUE.finditer(body) if match.lastindex)
    return next(islice(found, limit - 1, None), None) is not None


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


def is_text(value: str) -> bool:
    """Whether UTF-8 can encode a string: it has no half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def count(value: object) -> int:
    """A JSON number as a whole one; 0 for anything else."""
    return int(number(value) or 0)

"""Names for the JSON that goes over Gemini's wire, and for what is said about leaving some out."""

from typing import Any

from backends.keys import Key

Json = dict[str, Any]
"""Any JSON object."""

Part = dict[str, Any]
"""One piece of a content: `{"text"}`, `{"inlineData"}`, `{"functionCall"}` and so on."""

Content = dict[str, Any]
"""`{"role": "user" | "model", "parts": [Part, ...]}`; never without parts, which is a 400."""

Warnings = list[str]
"""`<parameter>=<reason>` for what was left out though it changes the answer or its limits."""


def credential_of(key: Key) -> tuple[str, str]:
    """A header, never `?key=`: addresses end up in logs."""
    return ("x-goog-api-key", key.value)


def objects(value: object) -> list[Json]:
    """The objects in a JSON list; none if it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def string(value: object) -> str | None:
    """A JSON string that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None

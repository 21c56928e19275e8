"""Names for the parts of Gemini's JSON, and how a request shows its key."""

from typing import Any

from backends.keys import Key

Part = dict[str, Any]
"""One piece of a content: `{"text"}`, `{"inlineData"}`, `{"functionCall"}` and so on."""

Content = dict[str, Any]
"""`{"role": "user" | "model", "parts": [Part, ...]}`; never without parts, which is a 400."""


def credential_of(key: Key) -> tuple[str, str]:
    """A header, never `?key=`: addresses end up in logs."""
    return ("x-goog-api-key", key.value)

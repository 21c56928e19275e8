"""Types for Gemini's JSON, and the header with the API key."""

from typing import Any

from backends.keys import Key

Part = dict[str, Any]
"""One part of a content: `{"text"}`, `{"inlineData"}`, `{"functionCall"}` and so on."""

Content = dict[str, Any]
"""`{"role": "user" | "model", "parts": [Part, ...]}`; empty parts are a 400."""


def credential_of(key: Key) -> tuple[str, str]:
    """The header with the key. `?key=` would put it into URLs and so into logs."""
    return ("x-goog-api-key", key.value)

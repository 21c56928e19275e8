"""Converts Gemini's list of models to OpenAI's."""

from collections.abc import Iterator, Mapping
from typing import Any

from backends import jsonio
from backends.jsonio import Json, fields, string

# The `supportedGenerationMethods` (API reference, Model) that clients can use here.
USABLE_METHODS = frozenset({"generateContent", "embedContent"})

# Gemini's field -> its usual name, as in OpenRouter's list.
FACTS = {
    "displayName": "name",
    "inputTokenLimit": "context_length",
    "outputTokenLimit": "max_output_tokens",
}


def read(body: bytes) -> tuple[list[dict[str, Any]], str | None]:
    """The usable models on one page of `GET /models`, and the token of the next page."""
    page = fields(jsonio.decode(body))
    entries = page.get("models")
    if not isinstance(entries, list):
        raise ValueError("no 'models' list in Gemini's models")
    models = [_to_openai(entry) for entry in entries if _is_usable(entry)]
    return models, string(page.get("nextPageToken"))


def _is_usable(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and any(method in USABLE_METHODS for method in _methods(entry))
    )


def _methods(entry: Json) -> Iterator[str]:
    methods = entry.get("supportedGenerationMethods")
    return filter(string, methods if isinstance(methods, list) else [])


def _to_openai(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": entry["name"].removeprefix("models/"),
        "object": "model",
        "created": 0,  # Gemini does not say
        "owned_by": "google",
        **{ours: entry[theirs] for theirs, ours in FACTS.items() if theirs in entry},
    }

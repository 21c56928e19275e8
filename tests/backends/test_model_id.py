"""Backend prefixes of model ids."""

import pytest

from backends import model_id

KNOWN = ("openrouter", "gemini", "local")


@pytest.mark.parametrize(
    ("text", "backend", "name"),
    [
        ("gpt-4o", None, "gpt-4o"),
        ("openrouter:acme/coder", "openrouter", "acme/coder"),
        ("openrouter:acme/coder:free", "openrouter", "acme/coder:free"),
        ("acme/coder:free", None, "acme/coder:free"),
        ("gemini:gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("google:gemini", None, "google:gemini"),
        ("local:llama3:8b", "local", "llama3:8b"),
        ("openrouter:", "openrouter", ""),
        ("", None, ""),
        ("~acme/latest", None, "~acme/latest"),
        ("openrouter:@preset/x", "openrouter", "@preset/x"),
    ],
)
def test_parse(text: str, backend: str | None, name: str) -> None:
    parsed = model_id.parse(text, KNOWN)
    assert parsed == (backend, name)
    assert str(parsed) == text

"""Backend prefixes of model ids."""

import pytest

from backends import model_id
from backends.vendors.registry import make_backends


@pytest.mark.parametrize(
    ("text", "backend", "name"),
    [
        ("gpt-4o", None, "gpt-4o"),
        ("openrouter:acme/coder", "openrouter", "acme/coder"),
        ("openrouter:acme/coder:free", "openrouter", "acme/coder:free"),
        ("acme/coder:free", None, "acme/coder:free"),
        ("gemini:gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("google:gemini", None, "google:gemini"),
        ("openrouter:", "openrouter", ""),
        ("", None, ""),
        ("~acme/latest", None, "~acme/latest"),
        ("openrouter:@preset/x", "openrouter", "@preset/x"),
    ],
)
def test_parse(text: str, backend: str | None, name: str) -> None:
    parsed = model_id.parse(text)
    assert parsed == (backend, name)
    assert str(parsed) == text


def test_every_name_has_a_backend() -> None:
    made = make_backends(openrouter_url="", gemini_url="", site_url=None, app_title=None)
    assert tuple(made) == model_id.BACKEND_NAMES

"""Which upstream serves: the order of those that have a say."""

import pytest

from backends.model_id import ModelId
from commands.config.values import MODEL_MAPPING
from commands.routing.target import RoutingInputs, resolve

ALL = ("openrouter", "gemini")
ONCE = ModelId("gemini", "once")
CHOSEN = ModelId("openrouter", "a/b")


@pytest.mark.parametrize(
    ("requested", "inputs", "target"),
    [
        ("gpt-4o", {}, "openrouter:gpt-4o"),
        (None, {}, "openrouter:"),
        ("gpt-4o", {"mapping": MODEL_MAPPING}, "openrouter:openai/gpt-4o"),
        ("o3-mini", {"mapping": MODEL_MAPPING}, "openrouter:openai/o3-mini"),
        ("olmo", {"mapping": MODEL_MAPPING}, "openrouter:olmo"),
        ("claude-x", {"mapping": MODEL_MAPPING}, "openrouter:anthropic/claude-x"),
        ("openai/gpt-4o", {"mapping": MODEL_MAPPING}, "openrouter:openai/gpt-4o"),
        ("gemini-3-pro", {"mapping": MODEL_MAPPING}, "gemini:gemini-3-pro"),
        (
            "gemini-3-pro",
            {"mapping": MODEL_MAPPING, "available": ("openrouter",)},
            "openrouter:google/gemini-3-pro",
        ),
        ("gpt-4o", {"mapping": MODEL_MAPPING, "available": ("gemini",)}, "openrouter:gpt-4o"),
        ("gpt-4o", {"mapping": MODEL_MAPPING, "backend": "gemini"}, "gemini:gpt-4o"),
        ("gemini:x", {"backend": "openrouter"}, "gemini:x"),
        ("gemini:x", {"model": CHOSEN, "backend": "gemini"}, "openrouter:a/b"),
        ("gemini:x", {"model": CHOSEN, "once": ONCE}, "gemini:once"),
        ("x", {"default_backend": "gemini"}, "gemini:x"),
    ],
)
def test_the_first_that_applies(
    requested: str | None, inputs: dict[str, object], target: str
) -> None:
    given = {"default_backend": "openrouter", "known": ALL, "available": ALL, **inputs}
    assert str(resolve(requested, RoutingInputs(**given))) == target

"""Model names and the facts about each model."""

import pytest

from backends.errors import ApiError
from backends.vendors.gemini.generations import G2, G3A, G3B, G4, OTHER, Generation, find_model

GENERATIONS = {
    "gemini-2.5-pro": G2,
    "gemini-2.5-flash-lite": G2,
    "gemini-2.0-flash": G2,
    "gemini-1.5-pro": G2,
    "gemini-3-pro": G3A,
    "gemini-3-pro-preview": G3A,
    "gemini-3-flash": G3A,
    "gemini-3.1-pro": G3A,
    "gemini-3.1-flash-lite": G3A,
    "gemini-3.5-flash": G3B,
    "gemini-3.8-flash": G3B,
    "gemini-4-pro": G4,
    "gemini-5-ultra": G4,
    "gemini-flash-latest": G4,
    "gemini-demo-tool-call": G4,
    "gemini-2.5-flash-image": OTHER,
    "gemini-3-pro-image-preview": OTHER,
    "gemini-2.5-flash-preview-tts": OTHER,
    "gemini-embedding-001": OTHER,
    "gemma-3-27b-it": OTHER,
    "tunedModels/mine": OTHER,
}


@pytest.mark.parametrize(("name", "generation"), GENERATIONS.items(), ids=GENERATIONS)
def test_generations(name: str, generation: Generation) -> None:
    assert find_model(name).generation is generation


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("gemini-4-pro", "models/gemini-4-pro"),
        ("models/gemini-4-pro", "models/gemini-4-pro"),
        ("google/gemini-4-pro", "models/gemini-4-pro"),
        ("gemini/models/gemini-4-pro", "models/gemini-4-pro"),
        ("tunedModels/my one", "tunedModels/my%20one"),
        ("a/../b?c", "models/a%2F..%2Fb%3Fc"),
    ],
)
def test_resource_of_a_model(name: str, resource: str) -> None:
    assert find_model(name).resource == resource


@pytest.mark.parametrize("name", [None, "", "models/"])
def test_no_model(name: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        find_model(name)
    assert (caught.value.status, caught.value.param) == (400, "model")


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
LEVELS = ("LOW", "LOW", "LOW", "MEDIUM", "HIGH", "HIGH", "HIGH")
MINIMAL = ("MINIMAL", "MINIMAL", *LEVELS[2:])
BUDGETS = (0, 1024, 1024, 8192, 24576, 24576, 24576)
THINKING: dict[str, tuple[str | int, ...]] = {
    "gemini-4-pro": LEVELS,
    "gemini-3.7-flash": LEVELS,
    "gemini-3.8-flash": LEVELS,
    "gemini-3.1-pro": LEVELS,
    "gemini-unheard-of": LEVELS,
    "gemini-3-pro": ("LOW", "LOW", "LOW", "HIGH", "HIGH", "HIGH", "HIGH"),
    "gemini-3-flash": MINIMAL,
    "gemini-3.5-flash": MINIMAL,
    "gemini-3.6-flash": MINIMAL,
    "gemini-3.1-flash-lite": MINIMAL,
    "gemini-2.5-pro": (128, 1024, 1024, 8192, 24576, 32768, 32768),
    "gemini-2.5-flash": BUDGETS,
    "gemini-2.5-flash-lite": BUDGETS,
}


@pytest.mark.parametrize(("name", "expected"), THINKING.items(), ids=THINKING)
def test_thinking(name: str, expected: tuple[str | int, ...]) -> None:
    model = find_model(name)
    for effort, level in zip(EFFORTS, expected, strict=True):
        key = "thinkingLevel" if isinstance(level, str) else "thinkingBudget"
        shown = {} if effort == "none" else {"includeThoughts": True}
        assert model.thinking_config(effort) == {key: level, **shown}
    assert model.thinking_config("unknown") is None


def test_a_model_that_has_refused_minimal() -> None:
    config = find_model("gemini-3-flash").thinking_config("minimal", has_minimal_level=False)
    assert config == {"thinkingLevel": "LOW", "includeThoughts": True}


def test_no_thinking() -> None:
    assert find_model("gemma-3-27b-it").thinking_config("high") is None

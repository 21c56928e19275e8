"""Who serves a request: the rules in their order, each with the lists known and not known."""

from typing import Any

import pytest

from backends.errors import ApiError
from backends.model_id import BackendName, ModelId
from commands.config.values import MODEL_MAPPING
from commands.routing.routes import Route
from commands.routing.target import NameTables, RoutingInputs, arrow, resolve
from commands.settings import AvailableBackend

ONCE = ModelId("gemini", "once")
CHOSEN = ModelId("openrouter", "a/b")
OPENROUTER = [
    "anthropic/claude-sonnet-4.5",
    "deepseek/deepseek-chat",
    "google/gemini-2.5-pro",
    "meta-llama/llama-3.3-70b-instruct",
    "one/twin",
    "openai/gpt-4o",
    "openai/text-embedding-3-small",
    "two/twin",
    "x-ai/grok-4",
]
GEMINI = ["gemini-2.5-pro", "twin"]
ROUTES = {
    each.name: each
    for each in (
        Route("best", "km", (ModelId("gemini", "gemini-2.5-pro"), CHOSEN)),
        Route("first", "k", (CHOSEN, ModelId("gemini", "gemini-2.5-pro"))),
        Route("grok-*", "m", (CHOSEN,)),
        Route("empty", "m"),
    )
}
NAMES = NameTables({"sonnet": ModelId("openrouter", "anthropic/claude-sonnet-4.5")}, MODEL_MAPPING)
LOADED = {"openrouter": AvailableBackend(1, OPENROUTER), "gemini": AvailableBackend(1, GEMINI)}
UNKNOWN = {"openrouter": AvailableBackend(1), "gemini": AvailableBackend(1)}
NO_GEMINI = {"openrouter": LOADED["openrouter"]}


def inputs(**changes: Any) -> RoutingInputs:
    given = {"default_backend": "openrouter", "known": ("openrouter", "gemini")} | changes
    return RoutingInputs(**{"backends": LOADED, "routes": ROUTES, "names": NAMES, **given})


@pytest.mark.parametrize(
    ("requested", "changes", "served"),
    [
        ("gpt-4o", {"model": CHOSEN, "once": ONCE}, "gemini:once (once)"),
        ("best", {"model": CHOSEN, "backend": "gemini"}, "openrouter:a/b (set(model))"),
        ("x", {"model": ModelId(None, "first")}, "openrouter:a/b (set(model), route first)"),
        # A backend: by the list, else by the mapping, else while the list is not known as it is.
        ("gpt-4o", {"backend": "openrouter"}, "openrouter:openai/gpt-4o (set(backend))"),
        (
            "gpt-4o",
            {"backend": "openrouter", "backends": UNKNOWN},
            "openrouter:openai/gpt-4o (set(backend))",
        ),
        ("y", {"backend": "gemini", "backends": UNKNOWN}, "gemini:y (set(backend))"),
        (
            "openrouter:google/gemini-2.5-pro",
            {"backend": "gemini"},
            "gemini:gemini-2.5-pro (set(backend))",
        ),
        ("gemini:hidden", {"backend": "gemini"}, "gemini:hidden (set(backend))"),
        ("best", {"backend": "openrouter"}, "gemini:gemini-2.5-pro (route best)"),
        ("grok-4", {"backend": "openrouter"}, "openrouter:x-ai/grok-4 (set(backend))"),
        (None, {"backend": "gemini"}, "gemini: (set(backend))"),
        # The request itself
        ("gemini:any", {}, "gemini:any (the request names its backend)"),
        ("grok-4", {}, "openrouter:a/b (route grok-*)"),
        ("best", {"backends": NO_GEMINI}, "openrouter:a/b (route best)"),
        ("best", {"last": CHOSEN}, "openrouter:a/b (route best)"),
        ("best", {"cooling": [ROUTES["best"].elements[0]]}, "openrouter:a/b (route best)"),
        ("first", {"last": ROUTES["first"].elements[1]}, "openrouter:a/b (route first)"),
        ("sonnet", {}, "openrouter:anthropic/claude-sonnet-4.5 (alias sonnet)"),
        # The mapping, corrected by the list
        ("gpt-4o", {}, "openrouter:openai/gpt-4o (model_mapping gpt-*)"),
        ("gpt-9", {}, "openrouter:openai/gpt-9 (model_mapping gpt-*)"),
        (
            "claude-sonnet-4-5-20250929",
            {},
            "openrouter:anthropic/claude-sonnet-4.5 (model_mapping claude-*)",
        ),
        (
            "claude-x",
            {"backends": UNKNOWN},
            "openrouter:anthropic/claude-x (model_mapping claude-*)",
        ),
        ("gemini-2.5-pro", {}, "gemini:gemini-2.5-pro (model_mapping gemini-*)"),
        (
            "gemini-2.5-pro",
            {"backends": NO_GEMINI},
            "openrouter:google/gemini-2.5-pro (model_mapping gemini-*)",
        ),
        (
            "llama-3.3-70b-versatile",
            {},
            "openrouter:meta-llama/llama-3.3-70b-instruct (model_mapping llama-3.3-70b-versatile)",
        ),
        (
            "text-embedding-3-small",
            {},
            "openrouter:openai/text-embedding-3-small (model_mapping text-embedding-*)",
        ),
        # The lists, the default backend's first
        ("deepseek-chat", {}, "openrouter:deepseek/deepseek-chat (the models of openrouter)"),
        (
            "deepseek-chat",
            {"default_backend": "gemini"},
            "openrouter:deepseek/deepseek-chat (the models of openrouter)",
        ),
        ("twin", {"default_backend": "gemini"}, "gemini:twin (the models of gemini)"),
        ("twin", {}, "gemini:twin (the models of gemini)"),
        (
            "deepseek-chat",
            {"backends": UNKNOWN},
            "openrouter:deepseek-chat (the default backend)",
        ),
        ("mystery", {"default_backend": "gemini"}, "gemini:mystery (the default backend)"),
        ("gpt-4o", {"backends": {}}, "openrouter:gpt-4o (the default backend)"),
        (None, {}, "openrouter: (the default backend)"),
        ("", {}, "openrouter: (the default backend)"),
    ],
)
def test_the_first_rule_that_applies(
    requested: str | None, changes: dict[str, Any], served: str
) -> None:
    target = resolve(requested, inputs(**changes)).target
    assert f"{target} ({target.reason})" == served


@pytest.mark.parametrize(
    ("requested", "changes", "says"),
    [
        ("empty", {}, "Route empty has no element with an API key"),
        (
            "twin",
            {"backends": NO_GEMINI},
            "model twin can be openrouter:one/twin or openrouter:two/twin",
        ),
        (
            "twin",
            {"backend": "openrouter"},
            "model twin can be openrouter:one/twin or openrouter:two/twin",
        ),
        ("gpt-4o", {"backend": "gemini"}, "gemini has no model gpt-4o"),
        ("sonnet", {"backend": "gemini"}, "gemini has no model anthropic/claude-sonnet-4.5"),
    ],
)
def test_refused(requested: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ApiError, match=says) as raised:
        resolve(requested, inputs(**changes))
    assert (raised.value.status, raised.value.param) == (400, "model")
    assert arrow(requested, inputs(**changes)) == f"nobody: {raised.value.message}"


@pytest.mark.parametrize(
    ("requested", "backend", "text"),
    [
        (None, None, "the requested model at openrouter (the default backend)"),
        (None, "gemini", "the requested model at gemini (set(backend))"),
        ("best", None, "best -> gemini:gemini-2.5-pro (route best)"),
        ("gemini:a", None, "gemini:a (the request names its backend)"),
    ],
)
def test_arrow(requested: str | None, backend: BackendName | None, text: str) -> None:
    assert arrow(requested, inputs(backend=backend)) == text

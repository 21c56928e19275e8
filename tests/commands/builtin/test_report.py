from typing import Any

import pytest

from backends.usage import Usage
from commands.routing.attempt import AttemptResult
from commands.sessions.session import Entry
from commands.settings import AvailableBackend
from tests.commands.builtin.chat import new_context, run

FAILED = AttemptResult("openrouter", "foo", "KEY_1", "429 Slow down", 0.5)


def asked(**facts: Any) -> Entry:
    """An answer of a backend."""
    return Entry(0.0, "backend", "", "", "openrouter:foo", key_name="KEY_1", **facts)


def replied() -> Entry:
    """A reply of the proxy."""
    return Entry(0.0, "proxy", "", "", "openrouter:foo")


def test_status() -> None:
    status = run(new_context(), "status")
    assert status.startswith("session default; prompts go to the requested model at openrouter (")
    assert (
        "; model: none; backend: none; default-backend: openrouter (configured); project: none; "
        "interactive: True; redact-api-keys-in-prompts: True (configured); "
        "command-prefix: !/ (set by command)"
    ) in status


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["backend(gemini)"], "prompts go to the requested model at gemini ("),
        (["backend(gemini)", "model(openrouter:foo)"], "prompts go to openrouter:foo ("),
        (["model(openrouter:foo)", "once(model=gemini:a)"], "prompts go to gemini:a ("),
        (["set(interactive=off)", "model(openrouter:zzz)"], ", not available);"),
        (["model(gemini:a)"], "; model: gemini:a (this session);"),
        (["set(interactive=off)"], "; interactive: False (this session);"),
    ],
)
def test_status_tells_what_was_set(texts: list[str], expected: str) -> None:
    context = new_context()
    for text in texts:
        run(context, text)
    assert expected in run(context, "status")


def test_why() -> None:
    context = new_context()
    second = FAILED._replace(backend="gemini", model="a", key_name="KEY", error="503 Busy")
    failed = asked(attempts=(FAILED, second), error="All backends failed")
    context.history = [failed, replied()]
    assert run(context, "why") == (
        "openrouter:foo with KEY_1: 429 Slow down (0.50 s); "
        "gemini:a with KEY: 503 Busy (0.50 s); last answer failed: All backends failed"
    )
    context.history = [*context.history, asked(attempts=(FAILED._replace(error=None),))]
    assert run(context, "why") == (
        "openrouter:foo with KEY_1: ok (0.50 s); last answer served by openrouter:foo with KEY_1"
    )


def test_usage() -> None:
    context = new_context()
    assert run(context, "usage") == (
        "0 requests to backends: 0 prompt tokens, 0 of them cached, 0 completion tokens, "
        "0 of them reasoning; cost: unknown"
    )
    usage = Usage(prompt_tokens=100, completion_tokens=10, cached_tokens=50, cost=0.01)
    context.history = [asked(usage=usage), asked(), replied(), asked(usage=usage)]
    assert run(context, "usage") == (
        "3 requests to backends: 200 prompt tokens, 100 of them cached, 20 completion tokens, "
        "0 of them reasoning; cost: $0.0200"
    )


def test_long_list_of_models() -> None:
    backends = {"gemini": AvailableBackend(1, [f"m{number}" for number in range(60)])}
    listed = run(new_context(backends), "models")
    assert listed.startswith("gemini:m0, gemini:m1, ")
    assert listed.endswith("gemini:m49; and 10 more")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models(foo)", "openrouter:foo; models of gemini not known"),
        (
            "models(BAR, open)",
            "openrouter:vendor/bar:free, openrouter:vendor/barrel; models of gemini not known",
        ),
        ("models(nothing)", "no model found; models of gemini not known"),
        (
            "models(openruter:foo)",
            "no model found; did you mean 'openrouter:foo'?; models of gemini not known",
        ),
    ],
)
def test_models(text: str, expected: str) -> None:
    assert run(new_context(), text) == expected

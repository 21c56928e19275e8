from collections.abc import Callable
from dataclasses import replace

import pytest

from backends.model_id import ModelId
from commands.language.registry import CommandContext
from commands.routing.target import NameTables
from commands.settings import SETTINGS, AvailableBackend, ProxySettings
from tests.commands.builtin.chat import new_context, refused, run

VALID = ", ".join(sorted(row.name for row in SETTINGS))


def named_context() -> CommandContext:
    """A chat with two routes and an alias."""
    context = new_context()
    names = NameTables({"sonnet": ModelId("gemini", "a")})
    context.before = replace(context.before, names=names)
    routes = context.routes.create("best", "km").create("empty", "km")
    context.routes = routes.append("best", [ModelId("gemini", "b")])
    return context


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set(model=openrouter:foo)", "model set to openrouter:foo"),
        ("set(model=openrouter:vendor/bar:free)", "model set to openrouter:vendor/bar:free"),
        ("set(MODEL=OpenRouter:foo)", "model set to openrouter:foo"),
        ("set(model=gemini:whatever)", "model set to gemini:whatever"),
        ("model(openrouter:foo)", "model set to openrouter:foo"),
        ("set(model=foo)", "model set to foo -> openrouter:foo (the models of openrouter)"),
        (
            "set(model=barrel)",
            "model set to barrel -> openrouter:vendor/barrel (the models of openrouter)",
        ),
        (
            "set(model=arrel)",
            "model set to arrel -> openrouter:vendor/barrel (the only model with this in its name)",
        ),
        (
            "model(openrouter:Barrel)",
            "model set to openrouter:Barrel -> openrouter:vendor/barrel (the models of openrouter)",
        ),
        ("model(sonnet)", "model set to sonnet -> gemini:a (alias sonnet)"),
        ("model(best)", "model set to best -> gemini:b (route best)"),
        ("once(model=best)", "model set to best -> gemini:b (route best) for this turn"),
        ("once(model=openrouter:foo)", "model set to openrouter:foo for this turn"),
        ("set(backend=gemini)", "backend set to gemini"),
        ("backend(gemini)", "backend set to gemini"),
        ("set(default-backend=gemini)", "default backend set to gemini"),
        ("set(project=x)", "project set to x"),
        ("set(project-name='x, y')", "project set to x, y"),
        ("set(interactive=true)", "interactive mode set to True"),
        ("set(interactive=on)", "interactive mode set to True"),
        ("set(interactive=yes)", "interactive mode set to True"),
        ("set(interactive=1)", "interactive mode set to True"),
        ("set(interactive=false)", "interactive mode set to False"),
        ("set(interactive-mode=OFF)", "interactive mode set to False"),
        ("set(interactive=no)", "interactive mode set to False"),
        ("set(interactive=0)", "interactive mode set to False"),
        ("set(redact-api-keys-in-prompts=no)", "redact-api-keys-in-prompts set to False"),
        ("set(command-prefix=#?)", "command prefix set to #?"),
        ("set(project=x, backend=gemini)", "project set to x; backend set to gemini"),
        ("unset(model)", "model unset"),
        ("unset(backend)", "backend unset"),
        ("unset(project)", "project unset"),
        ("unset(project-name)", "project unset"),
        ("unset(default-backend)", "default-backend unset"),
        ("unset(interactive)", "interactive mode unset"),
        ("unset(interactive-mode)", "interactive mode unset"),
        ("unset(redact-api-keys-in-prompts)", "redact-api-keys-in-prompts unset"),
        ("unset(command-prefix)", "command prefix unset"),
        ("unset(model, project)", "model unset; project unset"),
    ],
)
def test_confirmations(text: str, expected: str) -> None:
    assert run(named_context(), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set(backend=x)", "backend x not supported"),
        ("set(backend=gemni)", "backend gemni not supported; did you mean 'gemini'?"),
        ("set(default-backend=x)", "backend x not supported"),
        ("backend()", "backend must be one of openrouter, gemini"),
        ("set(model=zzz)", "model zzz not available"),
        (
            "set(model=vendor/ba)",
            "model vendor/ba not available; did you mean 'vendor/barrel' or 'vendor/bar:free'?",
        ),
        (
            "set(model=openrouter:vendor/barel)",
            "model openrouter:vendor/barel not available; did "
            "you mean 'openrouter:vendor/barrel' or 'openrouter:vendor/bar:free'?",
        ),
        ("set(model=empty)", "Route empty has no element with an API key"),
        ("set(model=:foo)", "model must be specified as <backend>:<model>"),
        ("set(model=gemini:)", "model must be specified as <backend>:<model>"),
        ("set(model=x:foo)", "backend x not supported"),
        ("set(model=openrouter:zzz)", "model openrouter:zzz not available"),
        (
            "set(model=openrouter:bar)",
            "model openrouter:bar not available; did you mean 'openrouter:vendor/bar:free' or "
            "'openrouter:vendor/barrel'?",
        ),
        ("model(openrouter:zzz)", "model openrouter:zzz not available"),
        ("model()", "model must be specified as <backend>:<model>"),
        ("once(model=openrouter:zzz)", "model openrouter:zzz not available"),
        ("once()", "model must be specified as <backend>:<model>"),
        (
            "once(modle=gemini:a)",
            "once: unknown parameter modle; did you mean 'model'?; format: once(model=<model>)",
        ),
        ("set()", f"set: no valid parameters; valid: {VALID}"),
        ("set(x=1)", f"set: no valid parameters; unknown parameter x; valid: {VALID}"),
        ("set(project=x, x=1)", f"set: unknown parameter x; valid: {VALID}"),
        (
            "set(projekt=x)",
            "set: no valid parameters; unknown parameter projekt; did you mean 'project'?; "
            f"valid: {VALID}",
        ),
        ("set(project)", "set: project needs a value: set(project=<text>)"),
        ("set(project=)", "project must be one line of text"),
        ("set(project=x, backend=y)", "backend y not supported"),
        (
            "set(interactive=maybe)",
            "interactive mode must be one of true, on, yes, 1, false, off, no, 0, not 'maybe'",
        ),
        ("set(command-prefix=!!)", "command prefix must not be the same character twice"),
        ("set(command-prefix=!)", "command prefix must be 2 to 10 characters long"),
        ("set(command-prefix='a b')", "command prefix must not contain spaces"),
        ("unset()", f"unset: nothing to do; valid: {VALID}"),
        ("unset(x)", f"unset: nothing to do; unknown parameter x; valid: {VALID}"),
        ("unset(project, x)", f"unset: unknown parameter x; valid: {VALID}"),
    ],
)
def test_refusals(text: str, expected: str) -> None:
    assert refused(named_context(), text) == expected


def test_backend_without_key() -> None:
    context = new_context({"openrouter": AvailableBackend(1)})
    for text in ("set(backend=gemini)", "set(default-backend=gemini)", "set(model=gemini:a)"):
        assert refused(context, text) == "backend gemini not functional"


@pytest.mark.parametrize(
    ("key", "text", "read", "expected"),
    [
        ("model", "gemini:a", lambda it: it.session.model, ModelId("gemini", "a")),
        ("backend", "gemini", lambda it: it.session.backend, "gemini"),
        ("project", "x", lambda it: it.session.project, "x"),
        ("default-backend", "gemini", lambda it: it.proxy.default_backend, "gemini"),
        (
            "redact-api-keys-in-prompts",
            "off",
            lambda it: it.proxy.redact_api_keys_in_prompts,
            False,
        ),
        ("command-prefix", "##/", lambda it: it.proxy.command_prefix, "##/"),
    ],
)
def test_set_and_unset(
    key: str, text: str, read: Callable[[CommandContext], object], expected: object
) -> None:
    context = new_context()
    before = read(context)
    run(context, f"set({key}={text})")
    assert read(context) == expected
    run(context, f"unset({key})")
    assert read(context) == before


def test_unset_goes_back_to_what_was_configured() -> None:
    context = new_context()
    configured = ProxySettings("gemini", redact_api_keys_in_prompts=False, command_prefix="#?")
    context.before = replace(context.before, configured=configured)
    run(context, "unset(default-backend, redact-api-keys-in-prompts, command-prefix)")
    assert context.proxy == replace(configured, command_prefix="!/")


def test_unset_interactive_is_off() -> None:
    context = new_context()
    run(context, "unset(interactive)")
    assert not context.session.is_interactive


def test_once_is_for_the_turn() -> None:
    context = new_context()
    run(context, "once(model=gemini:a)")
    assert context.once == ModelId("gemini", "a")
    assert context.session.model is None


def test_model_that_is_not_available_without_interactive_mode() -> None:
    context = new_context()
    run(context, "set(interactive=off)")
    assert run(context, "set(model=openrouter:zzz)") == "model set to openrouter:zzz"
    assert context.session.model == ModelId("openrouter", "zzz")
    assert context.session.is_model_invalid
    run(context, "set(model=openrouter:foo)")
    assert not context.session.is_model_invalid
    run(context, "model(openrouter:zzz)")
    run(context, "unset(model)")
    assert not context.session.is_model_invalid

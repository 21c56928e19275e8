"""Who serves, why, and that `status`, confirmations and the planned attempts say the same."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import ModelId
from backends.vendors.registry import ConfiguredBackends, make_backends
from commands.config.values import MODEL_MAPPING
from commands.language.registry import CommandContext
from commands.routing import planner
from commands.routing.planner import PlanInputs
from commands.routing.routes import Route, Routes
from commands.routing.target import NameTables
from commands.settings import AvailableBackend
from tests.commands.builtin.chat import new_context, run

KNOWN = ("openrouter", "gemini")
OPENROUTER = AvailableBackend(
    1, ["openai/gpt-4o", "anthropic/claude-sonnet-4.5", "google/gemini-2.5-pro"]
)
BACKENDS = {
    "one": {"openrouter": OPENROUTER},
    "both": {
        "openrouter": OPENROUTER,
        "gemini": AvailableBackend(1, ["gemini-2.5-pro", "gemini-2.5-flash"]),
    },
}
GPT, SONNET = "openrouter:openai/gpt-4o", "openrouter:anthropic/claude-sonnet-4.5"
GOOGLE, PRO = "openrouter:google/gemini-2.5-pro", "gemini:gemini-2.5-pro"
ROUTE = Route("best", "km", (ModelId(*PRO.split(":")), ModelId(*SONNET.split(":"))))
NAMES = NameTables({"sonnet": ModelId(*SONNET.split(":"))}, MODEL_MAPPING)

PLAIN, PREFIXED, UNKNOWN = "gpt-4o", GOOGLE, "mystery"
ASKED = (PLAIN, PREFIXED, "best", "sonnet", UNKNOWN)
ONCE, MODEL = "once(model=best)", "set(model=sonnet)"
BACKEND = {"one": "set(backend=openrouter)", "both": "set(backend=gemini)"}
TOGETHER = {
    "one": "set(model=best, backend=openrouter)",
    "both": "set(model=best, backend=gemini)",
}


def nobody(backend: str, model: str) -> str:
    return (
        f"nobody: {backend} has no model {model}: choose one with !/set(model=...), or lift the "
        f"choice of {backend} with !/unset(backend)"
    )


# By backends and command: for each of ASKED who serves. A command with the same outcome for all
# has it once.
SERVED: dict[tuple[str, str], tuple[str, ...] | str] = {
    ("one", ""): (
        f"gpt-4o -> {GPT} (model_mapping gpt-*)",
        f"{GOOGLE} (the request names its backend)",
        f"best -> {SONNET} (route best)",
        f"sonnet -> {SONNET} (alias sonnet)",
        "mystery -> openrouter:mystery (the default backend)",
    ),
    ("one", ONCE): f"{SONNET} (once, route best)",
    ("one", MODEL): f"{SONNET} (set(model))",
    ("one", BACKEND["one"]): (
        f"gpt-4o -> {GPT} (set(backend))",
        f"{GOOGLE} (set(backend))",
        f"best -> {SONNET} (route best)",
        f"sonnet -> {SONNET} (set(backend))",
        nobody("openrouter", "mystery"),
    ),
    ("one", TOGETHER["one"]): f"{SONNET} (set(model), route best)",
    ("both", ""): (
        f"gpt-4o -> {GPT} (model_mapping gpt-*)",
        f"{GOOGLE} (the request names its backend)",
        f"best -> {PRO} (route best)",
        f"sonnet -> {SONNET} (alias sonnet)",
        "mystery -> openrouter:mystery (the default backend)",
    ),
    ("both", ONCE): f"{PRO} (once, route best)",
    ("both", MODEL): f"{SONNET} (set(model))",
    ("both", BACKEND["both"]): (
        nobody("gemini", "gpt-4o"),
        f"{GOOGLE} -> {PRO} (set(backend))",
        f"best -> {PRO} (route best)",
        nobody("gemini", "anthropic/claude-sonnet-4.5"),
        nobody("gemini", "mystery"),
    ),
    ("both", TOGETHER["both"]): f"{PRO} (set(model), route best)",
}


def rows() -> Iterator[tuple[str, str, str, str]]:
    for (count, command), served in SERVED.items():
        for number, asked in enumerate(ASKED):
            text = f"{asked} -> {served}" if isinstance(served, str) else served[number]
            yield count, command, asked, text


def context_of(count: str, asked: str) -> CommandContext:
    """A chat of a session that has asked for a model."""
    context = new_context(BACKENDS[count], KNOWN)
    (session,) = context.before.sessions
    session = replace(session, requested=asked)
    context.before = replace(context.before, sessions=(session,), names=NAMES)
    context.routes = Routes({"best": ROUTE})
    return context


def confirmation(count: str, command: str, served: str) -> str:
    """What the chat says to a command, given who serves now."""
    best = SONNET if count == "one" else PRO
    arrow = f"model set to best -> {best} (route best)"
    backend = f"backend set to {'openrouter' if count == 'one' else 'gemini'}"
    if command == ONCE:
        return f"{arrow} for this turn"
    if command == MODEL:
        return f"model set to sonnet -> {SONNET} (alias sonnet)"
    if served.startswith("nobody: "):
        return f"{backend}; but {served.removeprefix('nobody: ')}"
    reach = "" if served.endswith("(set(backend))") else f"; but prompts go to {served}"
    return f"{arrow}; {backend}{reach}" if command in TOGETHER.values() else f"{backend}{reach}"


@pytest.mark.parametrize(("count", "command", "asked", "served"), list(rows()))
def test_who_serves(count: str, command: str, asked: str, served: str) -> None:
    context = context_of(count, asked)
    if command:
        assert run(context, command) == confirmation(count, command, served)
    assert f"; prompts go to {served}; " in run(context, "status")
    assert first_attempt(context, asked, count) in served


def first_attempt(context: CommandContext, asked: str, count: str) -> str:
    """What a prompt behind the commands gets: target and reason, or the error."""
    keys = {name: [Key(f"{name}_1", f"secret-{name}")] for name in BACKENDS[count]}
    backends = make_backends({"openrouter": "http://o", "gemini": "http://g"})
    inputs = PlanInputs(context.routing(), context.session, ConfiguredBackends(backends, keys))
    try:
        plan = planner.plan(asked, inputs)
    except ApiError as error:
        return f"nobody: {error.message}"
    target = plan.attempts[0].target
    return f"{target.backend}:{target.model} ({plan.reason})"

"""Commands that change settings, by the table in `commands.settings`."""

from collections.abc import Iterator
from typing import Any

from backends.errors import ApiError
from commands.errors import CommandError, ModelNotAvailable, did_you_mean
from commands.language.registry import Arguments, CommandContext, command, named, words
from commands.language.scanner import Argument
from commands.routing.choice import Choice, choose
from commands.routing.target import BY_BACKEND, arrow, resolve
from commands.settings import NAMES, SETTINGS, Scope, Setting

MODEL, BACKEND = NAMES["model"], NAMES["backend"]


@command(
    "set",
    "changes settings: all that are given, or none if one of them is wrong",
    format=f"set({', '.join(f'{row.name}={row.values}' for row in SETTINGS)})",
    examples=("set(model=openrouter:openai/gpt-4o-mini)", "set(project=home, interactive=off)"),
    keys=None,
    ui_name="llm.set",
)
def set_values(context: CommandContext, arguments: Arguments) -> str:
    changes = _Changes()
    for row, argument in _rows("set", "no valid parameters", arguments):
        if argument.value is None:
            raise CommandError(f"set: {row.name} needs a value: set({row.name}={row.values})")
        changes.add(row, argument.value, context)
    return changes.apply(context)


@command(
    "unset",
    "resets settings to their configured values",
    format=f"unset({', '.join(row.name for row in SETTINGS)})",
    examples=("unset(model)", "unset(backend, project)"),
    keys=None,
    ui_name="llm.unset",
)
def unset(context: CommandContext, arguments: Arguments) -> str:
    changes = _Changes()
    for row, _ in _rows("unset", "nothing to do", arguments):
        changes.unset(row, context)
    return changes.apply(context)


@command(
    "model",
    "sets the model of this session",
    format="model(<model>)",
    examples=("model(gemini:gemini-2.5-pro)",),
    max_words=1,
)
def choose_model(context: CommandContext, arguments: Arguments) -> str:
    return _assign_word(MODEL, context, arguments)


@command(
    "backend",
    "sets the backend of this session",
    format="backend(<name>)",
    examples=("backend(gemini)",),
    max_words=1,
)
def choose_backend(context: CommandContext, arguments: Arguments) -> str:
    return _assign_word(BACKEND, context, arguments)


@command(
    "once",
    "sets the model for this turn only",
    format="once(model=<model>)",
    examples=("once(model=gemini:gemini-2.5-pro)",),
    keys=("model",),
)
def choose_once(context: CommandContext, arguments: Arguments) -> str:
    text = named(arguments).get("model", "")
    choice = choose(MODEL.read(text, context.before.known), context.routing())
    context.once = choice.model
    return f"{_chosen(text, choice, context)} for this turn"


class _Changes:
    """Collects changes and applies them together, so that an error prevents all of them."""

    def __init__(self) -> None:
        self._fields: dict[Scope, dict[str, Any]] = {"session": {}, "proxy": {}}
        self._messages: list[str] = []

    def add(self, row: Setting, text: str, context: CommandContext) -> None:
        value = row.read(text, context.before.known)
        fields = self._fields[row.scope]
        message = row.set_message(value)
        row.check(value, context.before.availability.backends)
        if row is MODEL:
            fields["is_model_invalid"] = False
            try:
                choice = choose(value, context.routing())
            except ModelNotAvailable:
                if context.session.is_interactive:
                    raise
                # Nobody sees the error now, so the next prompt has to fail.
                fields["is_model_invalid"] = True
            else:
                value, message = choice.model, _chosen(text, choice, context)
        fields[row.field] = value
        self._messages.append(message)

    def unset(self, row: Setting, context: CommandContext) -> None:
        fields = self._fields[row.scope]
        fields[row.field] = row.unset_value(context.before.configured)
        if row is MODEL:
            fields["is_model_invalid"] = False
        self._messages.append(row.unset_message)

    def apply(self, context: CommandContext) -> str:
        context.change_proxy(**self._fields["proxy"])
        context.change_session(**self._fields["session"])
        if self._fields["session"].get(BACKEND.field):
            self._messages += _beyond_reach(context)
        return "; ".join(self._messages)


def _chosen(text: str, choice: Choice, context: CommandContext) -> str:
    """The confirmation of a model, with the way from the name to it if they differ."""
    if not choice.model.backend:
        return MODEL.set_message(arrow(text, context.snapshot().routing()))
    return MODEL.set_message(
        f"{text} -> {choice.model} ({choice.reason})" if choice.reason else choice.model
    )


def _beyond_reach(context: CommandContext) -> Iterator[str]:
    """If the backend that was set does not serve what this session last asked for: who does."""
    (session,) = context.before.sessions
    inputs = context.routing()
    try:
        decision = resolve(session.requested, inputs)
    except ApiError as error:
        yield f"but {error.message}"
    else:
        if decision.target.reason != BY_BACKEND:
            yield f"but prompts go to {arrow(session.requested, inputs)}"


def _assign_word(row: Setting, context: CommandContext, arguments: Arguments) -> str:
    changes = _Changes()
    changes.add(row, "".join(words(arguments)), context)
    return changes.apply(context)


def _rows(name: str, nothing: str, arguments: Arguments) -> Iterator[tuple[Setting, Argument]]:
    """The settings that the arguments name. Raises CommandError for a wrong name, or none."""
    unknown = [each.key for each in arguments if each.key.lower() not in NAMES]
    errors = [] if len(unknown) < len(arguments) else [nothing]
    errors += [f"unknown parameter {key}{did_you_mean(key, NAMES)}" for key in unknown]
    if errors:
        valid = ", ".join(sorted(row.name for row in SETTINGS))
        raise CommandError(f"{name}: {'; '.join(errors)}; valid: {valid}")
    for argument in arguments:
        yield NAMES[argument.key.lower()], argument

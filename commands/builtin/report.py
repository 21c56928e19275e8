"""Commands that tell how things are and change nothing."""

from commands.errors import did_you_mean
from commands.language.registry import UNLIMITED, Arguments, CommandContext, command, words
from commands.routing.target import RoutingInputs, resolve
from commands.settings import SETTINGS, SessionSettings, Setting

MOST_MODELS = 50


@command("status", "tells what is in force for this session, and why", ui_name="llm.status")
def show_status(context: CommandContext, arguments: Arguments) -> str:
    settings = (f"{row.name}: {_in_force(row, context)}" for row in SETTINGS)
    parts = [f"session {context.session_id}", f"prompts go to {_serving(context)}", *settings]
    return "; ".join([*parts, *(f"resting: {each}" for each in context.cooldowns)])


def _serving(context: CommandContext) -> str:
    session = context.session
    inputs = RoutingInputs(
        context.proxy.default_backend,
        context.known,
        once=context.once,
        model=session.model,
        backend=session.backend,
    )
    target = resolve(None, inputs)
    served = f"{target}" if target.name else f"the requested model at {target.backend}"
    is_invalid = session.is_model_invalid and not context.once
    return f"{served} ({target.why}{', not available' if is_invalid else ''})"


def _in_force(row: Setting, context: CommandContext) -> str:
    """The value and who says so."""
    if row.scope == "session":
        value = getattr(context.session, row.field)
        is_set = value != getattr(SessionSettings(), row.field)
        return f"{value} (this session)" if is_set else f"{'none' if value is None else value}"
    value = getattr(context.proxy, row.field)
    is_set = value != getattr(context.configured, row.field)
    return f"{value} ({'set by command' if is_set else 'configured'})"


@command("why", "tells which attempts led to the last answer of a backend", ui_name="llm.why")
def explain(context: CommandContext, arguments: Arguments) -> str:
    for entry in reversed(context.history):
        if entry.handler == "backend":
            key = f" with {entry.key_name}" if entry.key_name else ""
            end = f"failed: {entry.error}" if entry.error else f"served by {entry.model}{key}"
            return "; ".join([*map(str, entry.attempts), f"last answer {end}"])
    return "no backend has been asked in this session"


@command("usage", "tells the tokens and the cost of this session", ui_name="llm.usage")
def show_usage(context: CommandContext, arguments: Arguments) -> str:
    asked = [entry for entry in context.history if entry.handler == "backend"]
    usages = [entry.usage for entry in asked if entry.usage]
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return (
        f"{len(asked)} requests to backends: "
        f"{sum(usage.prompt_tokens for usage in usages)} prompt tokens, "
        f"{sum(usage.cached_tokens for usage in usages)} of them cached, "
        f"{sum(usage.completion_tokens for usage in usages)} completion tokens, "
        f"{sum(usage.reasoning_tokens for usage in usages)} of them reasoning; "
        f"cost: {f'${sum(costs):.4f}' if costs else 'unknown'}"
    )


@command(
    "models",
    "lists the models whose names have all the given parts",
    format="models(<part>, ...)",
    examples=("models(claude)", "models(gemini, flash)"),
    max_words=UNLIMITED,
    ui_name="llm.models",
    scope="proxy",
)
def list_models(context: CommandContext, arguments: Arguments) -> str:
    parts = [part.lower() for part in words(arguments)]
    offered = {name: backend.models for name, backend in context.backends.items()}
    names = [f"{name}:{model}" for name, models in offered.items() for model in models or ()]
    found = [name for name in names if all(part in name.lower() for part in parts)]
    messages = [", ".join(found[:MOST_MODELS])] if found else []
    if len(found) > MOST_MODELS:
        messages.append(f"and {len(found) - MOST_MODELS} more")
    if not found:
        messages.append(f"no model found{did_you_mean(' '.join(parts), names, most=3)}")
    messages += [
        f"models of {name} not known" for name, models in offered.items() if models is None
    ]
    return "; ".join(messages)

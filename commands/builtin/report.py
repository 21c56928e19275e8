"""Commands that report and change nothing."""

from commands.errors import did_you_mean
from commands.language.registry import UNLIMITED, Arguments, CommandContext, command, words
from commands.language.snapshot import ProxySnapshot, SessionSnapshot
from commands.routing.target import arrow
from commands.settings import SETTINGS, SessionSettings, Setting

MAX_MODELS = 50


@command("status", "shows this session's settings and where they come from", ui_name="llm.status")
def show_status(context: CommandContext, arguments: Arguments) -> str:
    proxy = context.snapshot()
    (session,) = proxy.sessions
    return "; ".join(
        (
            f"session {session.id}",
            f"prompts go to {_target(session, proxy)}",
            *(f"{row.name}: {_value(row, session, proxy)}" for row in SETTINGS),
            *(f"cooling down: {each}" for each in proxy.availability.cooldowns),
        )
    )


def _target(session: SessionSnapshot, proxy: ProxySnapshot) -> str:
    served = arrow(session.requested, proxy.routing(session))
    is_invalid = session.settings.is_model_invalid and not session.once
    return f"{served.removesuffix(')')}, not available)" if is_invalid else served


def _value(row: Setting, session: SessionSnapshot, proxy: ProxySnapshot) -> str:
    """The value of a setting and where it comes from."""
    if row.scope == "session":
        value = getattr(session.settings, row.field)
        is_set = value != getattr(SessionSettings(), row.field)
        return f"{value} (this session)" if is_set else f"{'none' if value is None else value}"
    value = getattr(proxy.settings, row.field)
    is_set = value != getattr(proxy.configured, row.field)
    return f"{value} ({'set by command' if is_set else 'configured'})"


@command("why", "shows the attempts that led to the last response of a backend", ui_name="llm.why")
def explain(context: CommandContext, arguments: Arguments) -> str:
    for entry in reversed(context.history):
        if entry.handler == "backend":
            key = f" with {entry.key_name}" if entry.key_name else ""
            end = f"failed: {entry.error}" if entry.error else f"served by {entry.model}{key}"
            return "; ".join([*map(str, entry.attempts), f"last answer {end}"])
    return "no backend has had a request in this session"


@command("usage", "shows the tokens and the cost of this session", ui_name="llm.usage")
def show_usage(context: CommandContext, arguments: Arguments) -> str:
    prompts = [entry for entry in context.history if entry.handler == "backend"]
    usages = [entry.usage for entry in prompts if entry.usage]
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return (
        f"{len(prompts)} requests to backends: "
        f"{sum(usage.prompt_tokens for usage in usages)} prompt tokens, "
        f"{sum(usage.cached_tokens for usage in usages)} of them cached, "
        f"{sum(usage.completion_tokens for usage in usages)} completion tokens, "
        f"{sum(usage.reasoning_tokens for usage in usages)} of them reasoning; "
        f"cost: {f'${sum(costs):.4f}' if costs else 'unknown'}"
    )


@command(
    "models",
    "lists the models whose names contain all the given parts",
    format="models(<part>, ...)",
    examples=("models(claude)", "models(gemini, flash)"),
    max_words=UNLIMITED,
    ui_name="llm.models",
    scope="proxy",
)
def list_models(context: CommandContext, arguments: Arguments) -> str:
    parts = [part.lower() for part in words(arguments)]
    offered = {
        name: backend.models for name, backend in context.before.availability.backends.items()
    }
    names = [f"{name}:{model}" for name, models in offered.items() for model in models or ()]
    found = [name for name in names if all(part in name.lower() for part in parts)]
    messages = [", ".join(found[:MAX_MODELS])] if found else []
    if len(found) > MAX_MODELS:
        messages.append(f"and {len(found) - MAX_MODELS} more")
    if not found:
        messages.append(f"no model found{did_you_mean(' '.join(parts), names, limit=3)}")
    messages += [
        f"models of {name} not known" for name, models in offered.items() if models is None
    ]
    return "; ".join(messages)

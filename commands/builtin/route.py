"""Commands that show and edit the failover routes."""

from backends.model_id import ModelId
from commands.errors import CommandError
from commands.language.registry import (
    UNLIMITED,
    Arguments,
    CommandContext,
    Handler,
    command,
    named,
    words,
)
from commands.routing.choice import choose
from commands.routing.routes import DEFAULT_POLICY, POLICIES, find_policy
from commands.settings import parse_name

NOW_INTERACTIVE = "This llm-interactive-proxy session is now set to interactive mode"


def _in_interactive_mode(handler: Handler) -> Handler:
    """Switch the session's interactive mode on, so that the human sees the routes."""

    def run(context: CommandContext, arguments: Arguments) -> str:
        message = handler(context, arguments)
        if context.session.is_interactive:
            return message
        context.change_session(is_interactive=True)
        return f"{NOW_INTERACTIVE}; {message}"

    return run


@command(
    "create-failover-route",
    "creates a route; policy: k tries all keys of the first element, m all elements with the "
    "first key, km (the default) all keys of each element, mk all elements with each key",
    format="create-failover-route(name=<route>, policy=k|m|km|mk, <backend>:<model>, ...)",
    examples=(
        "create-failover-route(name=night, policy=m)",
        "create-failover-route(name=best, gemini:gemini-2.5-pro, openrouter:openai/gpt-4o)",
    ),
    keys=("name", "policy", "elements"),
    max_words=UNLIMITED,
    ui_name="llm.route.create",
    scope="proxy",
)
@_in_interactive_mode
def create(context: CommandContext, arguments: Arguments) -> str:
    values = {"policy": DEFAULT_POLICY, **named(arguments)}
    name, policy = values.get("name"), find_policy(values["policy"])
    if not name or not policy:
        known = f"policy must be one of {', '.join(POLICIES)}, not '{values['policy']}'"
        raise CommandError(
            "create-failover-route requires name and valid policy: "
            f"{known if name else 'name is missing'}"
        )
    elements, notes = _elements(context, arguments, least=0)
    context.change_routes(context.routes.create(name, policy).append(name, elements))
    with_elements = f": {', '.join(map(str, elements))}" if elements else ""
    created = f"failover route {name} created with policy {policy}{with_elements}"
    return "; ".join((created, *notes))


@command(
    "delete-failover-route",
    "deletes a route",
    format="delete-failover-route(name=<route>)",
    examples=("delete-failover-route(name=night)",),
    keys=("name",),
    ui_name="llm.route.delete",
    scope="proxy",
)
@_in_interactive_mode
def delete(context: CommandContext, arguments: Arguments) -> str:
    name = _name(arguments, "delete-failover-route")
    context.change_routes(context.routes.delete(name))
    return f"failover route {name} deleted"


@command(
    "list-failover-routes",
    "lists the routes with their policies",
    ui_name="llm.route.names",
    scope="proxy",
)
@_in_interactive_mode
def list_routes(context: CommandContext, arguments: Arguments) -> str:
    routes = context.routes.by_name.values()
    listed = ", ".join(f"{route.name}:{route.policy}" for route in routes)
    return listed or "no failover routes defined"


@command(
    "route-list",
    "lists the elements of a route",
    format="route-list(name=<route>)",
    examples=("route-list(name=night)",),
    keys=("name",),
    ui_name="llm.route.list",
    scope="proxy",
)
@_in_interactive_mode
def list_elements(context: CommandContext, arguments: Arguments) -> str:
    route = context.routes.find(_name(arguments, "route-list"))
    return ", ".join(map(str, route.elements)) or "<empty>"


@command(
    "route-append",
    "adds elements at the end of a route",
    format="route-append(name=<route>, <backend>:<model>, ...)",
    examples=("route-append(name=night, gemini:gemini-2.5-pro, openrouter:openai/gpt-4o)",),
    keys=("name", "elements"),
    max_words=UNLIMITED,
    ui_name="llm.route.append",
    scope="proxy",
)
@_in_interactive_mode
def append(context: CommandContext, arguments: Arguments) -> str:
    name = _name(arguments, "route-append")
    elements, notes = _elements(context, arguments)
    context.change_routes(context.routes.append(name, elements))
    return "; ".join((f"elements appended to {name}", *notes))


@command(
    "route-prepend",
    "adds elements at the front of a route",
    format="route-prepend(name=<route>, <backend>:<model>, ...)",
    examples=("route-prepend(name=night, gemini:gemini-2.5-flash)",),
    keys=("name", "elements"),
    max_words=UNLIMITED,
    ui_name="llm.route.prepend",
    scope="proxy",
)
@_in_interactive_mode
def prepend(context: CommandContext, arguments: Arguments) -> str:
    name = _name(arguments, "route-prepend")
    elements, notes = _elements(context, arguments)
    context.change_routes(context.routes.prepend(name, elements))
    return "; ".join((f"elements prepended to {name}", *notes))


@command(
    "route-clear",
    "removes all elements from a route",
    format="route-clear(name=<route>)",
    examples=("route-clear(name=night)",),
    keys=("name",),
    ui_name="llm.route.clear",
    scope="proxy",
)
@_in_interactive_mode
def clear(context: CommandContext, arguments: Arguments) -> str:
    name = _name(arguments, "route-clear")
    context.change_routes(context.routes.clear(name))
    return f"route {name} cleared"


def _name(arguments: Arguments, command_name: str) -> str:
    name = named(arguments).get("name")
    if not name:
        raise CommandError(f"{command_name} requires name")
    return name


def _elements(
    context: CommandContext, arguments: Arguments, *, least: int = 1
) -> tuple[list[ModelId], list[str]]:
    """The models of the words and of `elements='a, b'`, and notes about those to look at."""
    elements, notes = [], []
    texts = [named(arguments).get("elements", ""), *words(arguments)]
    for word in filter(None, map(str.strip, ",".join(texts).split(","))):
        element, note = _element(context, word)
        elements.append(element)
        notes += [note] if note else []
    if len(elements) < least:
        raise CommandError("no route elements specified")
    return elements, notes


def _element(context: CommandContext, word: str) -> tuple[ModelId, str]:
    """The model that a word names, and what there is to say about it."""
    named_model = None
    try:
        named_model = parse_name(word, context.before.known)
        if named_model.name in context.routes.by_name:
            raise CommandError("is a route itself")
        choice = choose(named_model, context.routing())
    except CommandError as error:
        if named_model and named_model.backend:
            return named_model, f"warning: {error}"
        raise CommandError(f"route element '{word}': {error}") from None
    return choice.model, f"{word} -> {choice.model} ({choice.reason})" if choice.reason else ""

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
from commands.routing.routes import find_policy, parse_element

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
    "creates an empty route; policy: k tries all keys of the first element, m all elements "
    "with the first key, km all keys of each element, mk all elements with each key",
    format="create-failover-route(name=<route>, policy=k|m|km|mk)",
    examples=("create-failover-route(name=night, policy=m)",),
    keys=("name", "policy"),
    ui_name="llm.route.create",
    scope="proxy",
)
@_in_interactive_mode
def create(context: CommandContext, arguments: Arguments) -> str:
    values = named(arguments)
    name, policy = values.get("name"), find_policy(values.get("policy", ""))
    if not name or not policy:
        raise CommandError("create-failover-route requires name and valid policy")
    context.change_routes(context.routes.create(name, policy))
    return f"failover route {name} created with policy {policy}"


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
    keys=("name",),
    max_words=UNLIMITED,
    ui_name="llm.route.append",
    scope="proxy",
)
@_in_interactive_mode
def append(context: CommandContext, arguments: Arguments) -> str:
    name = _name(arguments, "route-append")
    context.change_routes(context.routes.append(name, _elements(context, arguments)))
    return f"elements appended to {name}"


@command(
    "route-prepend",
    "adds elements at the front of a route",
    format="route-prepend(name=<route>, <backend>:<model>, ...)",
    examples=("route-prepend(name=night, gemini:gemini-2.5-flash)",),
    keys=("name",),
    max_words=UNLIMITED,
    ui_name="llm.route.prepend",
    scope="proxy",
)
@_in_interactive_mode
def prepend(context: CommandContext, arguments: Arguments) -> str:
    name = _name(arguments, "route-prepend")
    context.change_routes(context.routes.prepend(name, _elements(context, arguments)))
    return f"elements prepended to {name}"


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


def _elements(context: CommandContext, arguments: Arguments) -> list[ModelId]:
    elements = [parse_element(word, context.before.known) for word in words(arguments)]
    if not elements:
        raise CommandError("no route elements specified")
    return elements

"""Compares what commands can change: finds changes, and checks whether they still hold."""

from collections.abc import Mapping

from commands.language.registry import CommandContext
from commands.routing.routes import Route, Routes
from commands.settings import SETTINGS, ProxySettings

Facts = Mapping[str, object]
"""Values by the name of a setting, and routes by theirs."""


def facts_of(context: CommandContext) -> Facts:
    """Everything that commands can change."""
    session = {
        row.name: getattr(context.session, row.field) for row in SETTINGS if row.scope == "session"
    }
    return {**session, "once": context.once, **proxy_facts(context.proxy, context.routes)}


def proxy_facts(settings: ProxySettings, routes: Routes) -> Facts:
    """Everything of this that applies to the whole proxy."""
    proxy = {row.name: getattr(settings, row.field) for row in SETTINGS if row.scope == "proxy"}
    return {**proxy, **{f"route {name}": route for name, route in routes.by_name.items()}}


def changes(before: Facts, after: Facts) -> Facts:
    """The facts that differ, with their new values; None for a deleted route."""
    names = dict.fromkeys((*before, *after))
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}


def still_hold(changed: Facts, now: Facts) -> bool:
    """Whether the changes are still in force; a route may have more elements since."""
    return all(_holds(value, now.get(name)) for name, value in changed.items())


def _holds(then: object, now: object) -> bool:
    if isinstance(then, Route) and isinstance(now, Route) and then.elements:
        return then.policy == now.policy and set(then.elements) <= set(now.elements)
    return then == now

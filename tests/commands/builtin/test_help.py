from dataclasses import replace

import pytest

from commands.builtin import COMMANDS
from commands.settings import AvailableBackend
from tests.commands.builtin.chat import BANNER, new_context, refused, run

NAMES = (
    "backend, create-failover-route, delete-failover-route, hello, help, list-failover-routes, "
    "model, models, once, route-append, route-clear, route-list, route-prepend, set, status, "
    "unset, usage, why"
)


@pytest.mark.parametrize("text", ["help", "help()"])
def test_list(text: str) -> None:
    assert run(new_context(), text) == f"available commands: {NAMES}"


def test_manual() -> None:
    context = new_context()
    context.proxy = replace(context.proxy, command_prefix="#?")
    assert run(context, "help(Route-List)") == (
        "route-list - lists the elements of a route; format: route-list(name=<route>); "
        "examples: #?route-list(name=night)"
    )


def test_manual_names_the_settings() -> None:
    assert "redact-api-keys-in-prompts=true|false" in run(new_context(), "help(set)")


@pytest.mark.parametrize("name", NAMES.split(", "))
def test_examples_work(name: str) -> None:
    context = new_context(dict.fromkeys(("openrouter", "gemini"), AvailableBackend(1)))
    context.routes = context.routes.create("night", "m")
    for example in COMMANDS.find(name).examples:
        assert run(context, example)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bad()", "unknown command: bad"),
        ("hlep()", "unknown command: hlep; did you mean 'help'?"),
        ("help(x)", "unknown command: x"),
        ("help(a, b)", "help: unknown parameter b; format: help(<command>)"),
        ("hello(x)", "hello: unknown parameter x; format: hello"),
    ],
)
def test_refusals(text: str, expected: str) -> None:
    assert refused(new_context(), text) == expected


def test_banner() -> None:
    context = new_context()
    assert run(context, "hello") == BANNER
    for switch, is_due in (("on", False), ("off", False), ("on", True), ("off", True)):
        run(context, f"set(interactive={switch})")
        assert context.is_banner_due == is_due
    run(context, "hello")
    assert not context.is_banner_due

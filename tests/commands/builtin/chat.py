"""A chat without a proxy: a context for commands, and how to run one in it."""

from dataclasses import replace

import pytest

from commands.builtin import COMMANDS
from commands.errors import CommandError
from commands.language.registry import CommandContext
from commands.language.scanner import scan
from commands.routing.routes import Routes
from commands.settings import (
    PROXY_WIDE,
    AvailableBackend,
    ProxySettings,
    SessionSettings,
)

BANNER = "Hello, this is ..."


def new_context() -> CommandContext:
    """Both backends work, of Gemini the list of models is not known."""
    configured = ProxySettings("openrouter", command_prefix="#?")
    return CommandContext(
        commands=COMMANDS,
        session_id="default",
        session=SessionSettings(),
        proxy=replace(configured, command_prefix="!/"),
        configured=configured,
        routes=Routes(),
        known=("openrouter", "gemini"),
        backends={
            "openrouter": AvailableBackend(2, ["foo", "vendor/bar:free", "vendor/barrel"]),
            "gemini": AvailableBackend(1),
        },
        history=[],
        cooldowns=[],
        banner=lambda: BANNER,
        author="a test",
        may_change=PROXY_WIDE,
    )


def run(context: CommandContext, text: str) -> str:
    """Run a command written without prefix."""
    call = scan(f"!/{text}", 0, len(text) + 2, "!/", COMMANDS.__contains__)
    assert call
    assert call.end == len(text) + 2
    return COMMANDS.run(call, context)


def refused(context: CommandContext, text: str) -> str:
    """Why a command is not run; it must not have changed anything."""
    before = replace(context)
    with pytest.raises(CommandError) as raised:
        run(context, text)
    assert context == before
    return str(raised.value)

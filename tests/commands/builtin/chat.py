"""A chat without a proxy: a context for commands, and how to run one in it."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from backends.model_id import BackendName
from commands.builtin import COMMANDS
from commands.errors import CommandError
from commands.language.registry import CommandContext
from commands.language.scanner import Scanner
from commands.language.snapshot import Availability, ProxySnapshot, SessionSnapshot
from commands.routing.routes import Routes
from commands.settings import (
    PROXY_WIDE,
    AvailableBackend,
    AvailableBackends,
    ProxySettings,
    SessionSettings,
)

BACKENDS = {
    "openrouter": AvailableBackend(2, ["foo", "vendor/bar:free", "vendor/barrel"]),
    "gemini": AvailableBackend(1),
}
BANNER = "Hello, this is ..."


def new_context(
    backends: AvailableBackends = BACKENDS, known: Collection[BackendName] = tuple(BACKENDS)
) -> CommandContext:
    """Both backends work, of Gemini the list of models is not known."""
    configured = ProxySettings("openrouter", command_prefix="#?")
    proxy = replace(configured, command_prefix="!/")
    session = SessionSnapshot("default", SessionSettings())
    return CommandContext(
        commands=COMMANDS,
        before=ProxySnapshot(
            proxy, configured, Routes(), known, Availability(backends), (session,)
        ),
        session=session.settings,
        proxy=proxy,
        routes=Routes(),
        history=[],
        banner=lambda: BANNER,
        author="a test",
        may_change=PROXY_WIDE,
    )


def run(context: CommandContext, text: str) -> str:
    """Run a command written without prefix."""
    parsed = Scanner(COMMANDS.__contains__).find(f"!/{text}", 0, len(text) + 2, "!/")
    assert parsed
    assert parsed.end == len(text) + 2
    return COMMANDS.find(parsed.name).run(context, parsed.arguments)


def refused(context: CommandContext, text: str) -> str:
    """Why a command is not run; it must not have changed anything."""
    before = replace(context)
    with pytest.raises(CommandError) as raised:
        run(context, text)
    assert context == before
    return str(raised.value)

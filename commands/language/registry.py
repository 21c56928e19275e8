"""Declares commands, finds them by name, and runs them.

The commands themselves are in `commands.builtin`.
"""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

from backends.model_id import ModelId
from commands.errors import CommandError, did_you_mean
from commands.language.scanner import Argument
from commands.language.snapshot import ProxySnapshot
from commands.routing.routes import Routes
from commands.routing.target import RoutingInputs
from commands.sessions.session import Entry
from commands.settings import PERSISTED, ROUTES, ProxySettings, SessionSettings

UNLIMITED = sys.maxsize


@dataclass(slots=True)
class CommandContext:
    """What commands see, and what they change by replacing values."""

    commands: "Registry"
    before: ProxySnapshot
    """The proxy with this session alone, before the first command of the turn."""
    history: Sequence[Entry]
    """The session's, newest last."""
    banner: Callable[[], str]
    author: str
    """Who runs the commands, for the log."""
    may_change: Collection[str]
    """The names out of `PROXY_WIDE` that the commands may change."""
    session: SessionSettings
    """This and what follows may be replaced."""
    proxy: ProxySettings
    routes: Routes
    once: ModelId | None = None
    """The model of this turn only."""
    is_banner_due: bool = False

    def snapshot(self) -> ProxySnapshot:
        """The proxy with this session alone, as the commands have changed it so far."""
        (session,) = self.before.sessions
        session = replace(session, settings=self.session, once=self.once)
        return replace(self.before, settings=self.proxy, routes=self.routes, sessions=(session,))

    def routing(self) -> RoutingInputs:
        """The routing inputs of a prompt behind the commands so far."""
        proxy = self.snapshot()
        return proxy.routing(*proxy.sessions)

    def change_session(self, **changes: Any) -> None:
        """Replace fields of `session`. Switching the interactive mode on makes the banner due."""
        was_interactive = self.session.is_interactive
        self.session = replace(self.session, **changes)
        self.is_banner_due |= self.session.is_interactive and not was_interactive

    def change_proxy(self, **changes: Any) -> None:
        """Replace fields of `proxy`. Raises CommandError if the chat may not change one."""
        for row in PERSISTED if changes else ():
            now = getattr(self.proxy, row.field)
            if changes.get(row.field, now) != now:
                self._require(row.name)
        self.proxy = replace(self.proxy, **changes)

    def change_routes(self, routes: Routes) -> None:
        """Replace `routes`. Raises CommandError if the chat may not change them."""
        self._require(ROUTES)
        self.routes = routes

    def _require(self, name: str) -> None:
        if name not in self.may_change:
            raise CommandError(
                f"{name} cannot be changed from the chat: chat_may_change in proxy.yaml does not "
                "allow it"
            )


Arguments = Sequence[Argument]
Handler = Callable[[CommandContext, Arguments], str]
"""Returns the confirmation; changes nothing in the context if it raises CommandError."""


def words(arguments: Arguments) -> list[str]:
    """The arguments without a value."""
    return [argument.key for argument in arguments if argument.value is None]


def named(arguments: Arguments) -> dict[str, str]:
    """The `key=value` arguments, keys in lower case."""
    return {each.key.lower(): each.value for each in arguments if each.value is not None}


@dataclass(frozen=True, slots=True)
class Command:
    """A command and its help."""

    name: str
    summary: str
    format: str
    """How to write it, without prefix."""
    examples: Sequence[str]
    """Without prefix."""
    keys: Sequence[str] | None
    """Keys that arguments may have; None if the handler checks them."""
    max_words: int
    """How many arguments without a value it takes."""
    handler: Handler
    ui_name: str = ""
    """Its name in mitmproxy's command bar; empty if it is not there."""
    scope: Literal["session", "proxy"] = "session"
    """Whether in the command bar a session is its first argument."""

    def run(self, context: CommandContext, arguments: Arguments) -> str:
        """Run the handler and return its confirmation. Raises CommandError."""
        if self.keys is not None:
            wrong = [key for key in named(arguments) if key not in self.keys]
            wrong += words(arguments)[self.max_words :]
            if wrong:
                hint = did_you_mean(wrong[0], self.keys)
                raise CommandError(
                    f"{self.name}: unknown parameter {wrong[0]}{hint}; format: {self.format}"
                )
        return self.handler(context, arguments)

    def help_text(self, prefix: str) -> str:
        examples = ", ".join(f"{prefix}{example}" for example in self.examples)
        return f"{self.name} - {self.summary}; format: {self.format}; examples: {examples}"


def command(
    name: str,
    summary: str,
    *,
    format: str = "",
    examples: Sequence[str] = (),
    keys: Sequence[str] | None = (),
    max_words: int = 0,
    ui_name: str = "",
    scope: Literal["session", "proxy"] = "session",
) -> Callable[[Handler], Command]:
    """Make a command of the decorated handler. Format and example default to the name."""

    def declare(handler: Handler) -> Command:
        return Command(
            name,
            summary,
            format or name,
            examples or (name,),
            keys,
            max_words,
            handler,
            ui_name,
            scope,
        )

    return declare


class Registry:
    """All commands, sorted by name; supports `name in registry`."""

    def __init__(self, *modules: ModuleType) -> None:
        """Collect the commands that the modules declare at their top level."""
        found = [
            value
            for module in modules
            for value in vars(module).values()
            if isinstance(value, Command)
        ]
        self._by_name = {each.name: each for each in sorted(found, key=lambda each: each.name)}

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Command]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Command:
        """Raises CommandError if there is no command of this name."""
        if name not in self._by_name:
            raise CommandError(f"unknown command: {name}{did_you_mean(name, self._by_name)}")
        return self._by_name[name]

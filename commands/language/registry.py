"""Commands as values: how one is declared, what it gets to see and change, how it is found and run.

The commands themselves are in `commands.builtin`.
"""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

from backends.model_id import BackendName, ModelId
from commands.errors import CommandError, did_you_mean
from commands.language.scanner import Argument, ParsedCommand
from commands.routing.routes import Routes
from commands.sessions.session import Entry
from commands.settings import PERSISTED, ROUTES, AvailableBackends, ProxySettings, SessionSettings

UNLIMITED = sys.maxsize
"""As many words as one likes."""


@dataclass(slots=True)
class CommandContext:
    """What commands see, and what they change by putting a new value in place of the old one.

    `known` are all backends, `backends` those that can serve. They change `session`, `proxy`,
    `routes`, `once` (the model of this turn only) and `is_banner_due`.
    `configured` is what the proxy was started with; `history` has the newest last,
    `cooldowns` what rests after a rate limit. `author` runs the commands, and of what is
    `PROXY_WIDE` they may change what is in `may_change`.
    """

    commands: "Registry"
    session_id: str
    session: SessionSettings
    proxy: ProxySettings
    configured: ProxySettings
    routes: Routes
    known: Collection[BackendName]
    backends: AvailableBackends
    history: Sequence[Entry]
    cooldowns: Sequence[str]
    banner: Callable[[], str]
    author: str
    may_change: Collection[str]
    once: ModelId | None = None
    is_banner_due: bool = False

    def change_session(self, **changes: Any) -> None:
        """Replace fields of `session`; switching the interactive mode on makes the banner due."""
        was_interactive = self.session.is_interactive
        self.session = replace(self.session, **changes)
        self.is_banner_due |= self.session.is_interactive and not was_interactive

    def change_proxy(self, **changes: Any) -> None:
        """Replace fields of `proxy`. Raises CommandError if one may not be changed."""
        for row in PERSISTED if changes else ():
            now = getattr(self.proxy, row.field)
            if changes.get(row.field, now) != now:
                self._require(row.name)
        self.proxy = replace(self.proxy, **changes)

    def change_routes(self, routes: Routes) -> None:
        """Replace `routes`. Raises CommandError if they may not be changed."""
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
    """The arguments that are no `key=value`."""
    return [argument.key for argument in arguments if argument.value is None]


def named(arguments: Arguments) -> dict[str, str]:
    """The `key=value` arguments, keys in lower case."""
    return {each.key.lower(): each.value for each in arguments if each.value is not None}


@dataclass(frozen=True, slots=True)
class Command:
    """A command and its manual. `format` and `examples` are without prefix.

    Before the handler runs, keys that are not in `keys` and more words than `max_words` are
    refused. `keys` is None if the handler knows better what may be given.
    """

    name: str
    summary: str
    format: str
    examples: Sequence[str]
    keys: Sequence[str] | None
    max_words: int
    handler: Handler
    ui_name: str = ""
    """Its name in mitmproxy's command bar; empty if it is not there."""
    scope: Literal["session", "proxy"] = "session"
    """Whether in the command bar a session is its first argument."""

    def run(self, context: CommandContext, arguments: Arguments) -> str:
        """What to tell about what was done. Raises CommandError."""
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
        """The help for this command."""
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
    """Make a command of its handler. Format and example default to the bare name."""

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
    """All commands, sorted by name. `name in registry` tells whether there is one of this name."""

    def __init__(self, *modules: ModuleType) -> None:
        """With the commands that are declared at the top of the modules."""
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
        """CommandError if there is no command of this name."""
        if name not in self._by_name:
            raise CommandError(f"unknown command: {name}{did_you_mean(name, self._by_name)}")
        return self._by_name[name]

    def run(self, call: ParsedCommand, context: CommandContext) -> str:
        """Run what the scanner has found. CommandError tells why nothing was done."""
        return self.find(call.name).run(context, call.arguments)

"""Keeps the settings and routes of the whole proxy, and commits the changes of commands."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from backends.model_id import BackendName
from commands.builtin import COMMANDS
from commands.config.sources import ConfigError
from commands.config.state_file import State, load_state, save_state
from commands.language.changes import changes, proxy_facts
from commands.language.registry import Arguments, CommandContext
from commands.language.snapshot import Availability, ProxySnapshot, SessionSnapshot
from commands.routing.routes import Route, Routes
from commands.routing.target import NameTables
from commands.sessions.session import Session
from commands.settings import PROXY_WIDE, AvailableBackends, ProxySettings, overrides

logger = logging.getLogger(__name__)

NO_ROUTES = Routes()
NO_NAMES = NameTables()


class ProxyState:
    """What applies to all sessions: in memory and, with `state_file`, beyond this run.

    Raises ConfigError if the file is broken.
    """

    def __init__(
        self,
        configured: ProxySettings,
        product: str,
        known: Collection[BackendName],
        *,
        routes: Routes = NO_ROUTES,
        names: NameTables = NO_NAMES,
        is_sticky: bool = True,
        state_file: Path | None = None,
        chat_may_change: Collection[str] | None = None,
    ) -> None:
        """Routes in the file replace the configured `routes` of the same name.

        `product` is the proxy's name in the banner; `known` are all backends. `chat_may_change`
        lists names out of `PROXY_WIDE`; None allows all, or none if the proxy `is_exposed`.
        """
        self._configured = configured
        self._product = product
        self._known = known
        self.names = names
        self._is_sticky = is_sticky
        self._state_file = state_file
        state = load_state(state_file, known) if state_file else State()
        self.settings = replace(configured, **state.defaults)
        self.routes = Routes({**routes.by_name, **state.routes.by_name})
        self.prefixes = {self.settings.command_prefix}
        """All prefixes since the start."""
        self._chat_may_change = chat_may_change
        self.is_exposed = True
        """Whether the proxy listens on more than loopback, or nobody knows yet."""

    def snapshot(self, sessions: Iterable[Session], availability: Availability) -> ProxySnapshot:
        return ProxySnapshot(
            self.settings,
            self._configured,
            self.routes,
            self._known,
            availability,
            tuple(map(SessionSnapshot.of, sessions)),
            self.names,
            self._is_sticky,
        )

    def run(
        self, name: str, arguments: Arguments, session: Session, availability: Availability
    ) -> str:
        """Run one command of mitmproxy's user interface. Raises CommandError."""
        context = self.context(session, availability)
        context.author, context.may_change = "mitmproxy", PROXY_WIDE
        message = COMMANDS.find(name).run(context, arguments)
        return "\n".join(filter(None, (message, self.commit(context, session))))

    def context(self, session: Session, availability: Availability) -> CommandContext:
        """The context for commands in a session's chat; `commit` applies their changes."""
        all_or_none = () if self.is_exposed else PROXY_WIDE
        allowed = self._chat_may_change
        return CommandContext(
            commands=COMMANDS,
            before=self.snapshot([session], availability),
            history=session.history,
            banner=lambda: self.banner(session.id, availability.backends),
            author=f"session {session.id} of {session.agent or 'an unknown agent'}",
            may_change=all_or_none if allowed is None else allowed,
            session=session.settings,
            proxy=self.settings,
            routes=self.routes,
            is_banner_due=session.is_banner_due,
        )

    def commit(self, context: CommandContext, session: Session) -> str:
        """Apply and save the changes. Returns an error message if saving fails."""
        session.settings = context.session
        session.is_banner_due = context.is_banner_due
        changed = changes(
            proxy_facts(self.settings, self.routes), proxy_facts(context.proxy, context.routes)
        )
        for name, value in changed.items():
            logger.warning("%s is now %s, by %s", name, _shown(value), context.author)
        before = State(overrides(self.settings, self._configured), self.routes)
        after = State(overrides(context.proxy, self._configured), context.routes)
        self.settings, self.routes = context.proxy, context.routes
        self.prefixes.add(context.proxy.command_prefix)
        if self._state_file and before != after:
            try:
                saved = save_state(self._state_file, before, after, self._known)
            except ConfigError as error:
                logger.warning("Changes are in force but not saved: %s", error)
                return f"not saved: {error}"
            self.settings = replace(self._configured, **saved.defaults)
            self.routes = Routes({**self.routes.by_name, **saved.routes.by_name})
        return ""

    def banner(self, session_id: str, backends: AvailableBackends) -> str:
        """The greeting of a session."""
        offer = (
            f"{name} (K:{backend.key_count}, "
            f"M:{'?' if backend.models is None else len(backend.models)})"
            for name, backend in sorted(backends.items())
        )
        return (
            f"<thinking>Hello, this is {self._product}\n"
            f"Session id: {session_id}\n"
            f"Functional backends: {', '.join(offer)}\n"
            f"Type {self.settings.command_prefix}help for list of available commands</thinking>"
        )


def _shown(value: object) -> str:
    """A changed setting or route, for the log."""
    if isinstance(value, Route):
        return f"{value.policy}:{','.join(map(str, value.elements))}"
    return "deleted" if value is None else str(value)

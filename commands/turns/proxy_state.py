"""The settings and routes of the whole proxy, and the commands run against them."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from backends.model_id import BackendName
from commands.builtin import COMMANDS
from commands.config.sources import ConfigError
from commands.config.state_file import State, load_state, save_state
from commands.language.changes import changes, proxy_facts
from commands.language.registry import CommandContext
from commands.language.scanner import ParsedCommand
from commands.routing.routes import Route, Routes
from commands.sessions.session import Session
from commands.settings import PROXY_WIDE, AvailableBackends, ProxySettings, overrides

logger = logging.getLogger(__name__)

NO_ROUTES = Routes()


class ProxyState:
    """What is in force for all sessions, in memory and, with `state_file`, beyond this run.

    `routes` are the configured ones; those of the same name in `state_file` go before them.
    `product` is what the banner calls us, `known` are the names of all backends.
    `chat_may_change` is what of `PROXY_WIDE` the chat may change; None is all of
    it, unless the proxy `is_exposed`: it listens on more than loopback, or
    that is not known yet. Raises ConfigError if the file is broken.
    """

    def __init__(
        self,
        configured: ProxySettings,
        product: str,
        known: Collection[BackendName],
        *,
        routes: Routes = NO_ROUTES,
        state_file: Path | None = None,
        chat_may_change: Collection[str] | None = None,
    ) -> None:
        self._configured = configured
        self._product = product
        self._known = known
        self._state_file = state_file
        state = load_state(state_file, known) if state_file else State()
        self.settings = replace(configured, **state.defaults)
        self.routes = Routes({**routes.by_name, **state.routes.by_name})
        self.prefixes = {self.settings.command_prefix}
        """All that were in force since the start."""
        self._chat_may_change = chat_may_change
        self.is_exposed = True

    def run(
        self,
        call: ParsedCommand,
        session: Session,
        backends: AvailableBackends,
        cooldowns: Sequence[str] = (),
    ) -> str:
        """Run one command that nobody has typed into a conversation. Raises CommandError."""
        context = self.context(session, backends, cooldowns)
        context.author, context.may_change = "mitmproxy", PROXY_WIDE
        message = COMMANDS.run(call, context)
        return "\n".join(filter(None, (message, self.commit(context, session))))

    def context(
        self, session: Session, backends: AvailableBackends, cooldowns: Sequence[str]
    ) -> CommandContext:
        """What a session's chat sees and changes; `commit` makes it the state of things."""
        all_or_none = () if self.is_exposed else PROXY_WIDE
        allowed = self._chat_may_change
        return CommandContext(
            commands=COMMANDS,
            session_id=session.id,
            session=session.settings,
            proxy=self.settings,
            configured=self._configured,
            routes=self.routes,
            known=self._known,
            backends=backends,
            history=session.history,
            cooldowns=cooldowns,
            banner=lambda: self.banner(session.id, backends),
            author=f"session {session.id} of {session.agent or 'an unknown agent'}",
            may_change=all_or_none if allowed is None else allowed,
            is_banner_due=session.is_banner_due,
        )

    def commit(self, context: CommandContext, session: Session) -> str:
        """Put in force what commands have changed; returns a complaint if it cannot be saved."""
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

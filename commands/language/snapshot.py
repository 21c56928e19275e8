"""Plain values that describe the whole proxy at one moment, for commands and other views of it."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from backends.model_id import BackendName, ModelId
from commands.routing.attempt import AttemptTarget
from commands.routing.cooldowns import Cooldown
from commands.routing.routes import Routes
from commands.routing.target import NameTables, RoutingInputs
from commands.sessions.session import Session
from commands.settings import AvailableBackends, ProxySettings, SessionSettings


class Availability(NamedTuple):
    """The backends that can serve, and the targets that attempts skip."""

    backends: AvailableBackends
    cooldowns: Sequence[Cooldown] = ()


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One session."""

    id: str
    settings: SessionSettings
    agent: str | None = None
    once: ModelId | None = None
    """The model of a single turn."""
    requested: str | None = None
    """The model that the session's newest prompt named."""
    last_target: AttemptTarget | None = None
    """The last one that succeeded."""
    last_settings: SessionSettings | None = None
    """The settings at that time."""
    exchanges: int = 0
    """How many the history holds."""
    last_exchange: float | None = None
    """The time of the newest one, in seconds since the epoch."""

    @classmethod
    def of(cls, session: Session) -> Self:
        history = session.history
        return cls(
            session.id,
            session.settings,
            session.agent,
            session.once and session.once[0],
            session.requested,
            session.last_target and session.last_target[1].target,
            session.last_target and session.last_target[0],
            len(history),
            history[-1].time if history else None,
        )


@dataclass(frozen=True, slots=True)
class ProxySnapshot:
    """The whole proxy. It holds no secrets."""

    settings: ProxySettings
    configured: ProxySettings
    """The settings at the start; `unset` returns to them."""
    routes: Routes
    known: Collection[BackendName]
    """All backends, available or not."""
    availability: Availability
    sessions: Sequence[SessionSnapshot] = field(default=())
    """Most recently used first."""
    names: NameTables = field(default_factory=NameTables)
    is_sticky: bool = True
    """Whether sessions stay with the target that answered last."""

    def routing(self, session: SessionSnapshot | None = None) -> RoutingInputs:
        """The routing inputs of a request, in a session or without one."""
        inputs = RoutingInputs(
            self.settings.default_backend,
            self.known,
            self.availability.backends,
            self.routes.by_name,
            self.names,
            cooling=self._cooling(),
            command_prefix=self.settings.command_prefix,
        )
        if session is None:
            return inputs
        last = session.last_target
        is_last_due = self.is_sticky and session.last_settings == session.settings
        return replace(
            inputs,
            once=session.once,
            model=session.settings.model,
            backend=session.settings.backend,
            last=ModelId(last.backend, last.model) if last and is_last_due else None,
        )

    def _cooling(self) -> Collection[ModelId]:
        """The models that no key may ask for now."""
        backends, cooldowns = self.availability
        keys = Counter((each.target.backend, each.target.model) for each in cooldowns)
        return [
            ModelId(backend, model)
            for (backend, model), count in keys.items()
            if backend in backends and count >= backends[backend].key_count
        ]

"""Plain values that describe the whole proxy at one moment, for commands and other views of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from backends.model_id import BackendName, ModelId
from commands.routing.attempt import AttemptTarget
from commands.routing.cooldowns import Cooldown
from commands.routing.routes import Routes
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
    last_target: AttemptTarget | None = None
    """The last one that succeeded."""
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
            session.last_target and session.last_target[1].target,
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

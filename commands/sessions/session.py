"""Keeps sessions: the settings and the bounded history of conversations."""

import hashlib
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from backends.model_id import ModelId
from backends.usage import Usage
from commands.routing.attempt import Attempt, AttemptResult
from commands.settings import SessionSettings

# The history keeps this many characters of a prompt or response.
MAX_TEXT = 32_768
MAX_HISTORY_BYTES = 64 * 2**20
"""Limit of the history of all sessions together."""
# For requests that are sent again while other conversations go on in the same session.
MAX_RUNS = 8


class Entry(NamedTuple):
    """One exchange in the history. Durations in seconds."""

    time: float
    """Seconds since the epoch."""
    handler: Literal["proxy", "backend"]
    prompt: str
    text: str
    model: str
    project: str | None = None
    key_name: str | None = None
    attempts: tuple[AttemptResult, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    first_token_s: float | None = None
    """None for a response that was not streamed."""
    total_s: float | None = None
    error: str | None = None

    @property
    def size(self) -> int:
        """The bytes of its texts."""
        texts = [value for value in self if isinstance(value, str)]
        errors = [result.error for result in self.attempts if result.error]
        return sum(map(sys.getsizeof, (*texts, *errors)))


class Run(NamedTuple):
    """The commands of a turn that changed something."""

    turn_id: str
    reply: str
    has_failed: bool
    changed: Mapping[str, object]
    """New values by the names of `changes.facts_of`."""


@dataclass(slots=True)
class Session:
    """The state of one conversation."""

    id: str
    settings: SessionSettings
    history: deque[Entry]
    """Newest last."""
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=MAX_RUNS))
    """Newest first."""
    once: tuple[ModelId, str] | None = None
    """The model of a single turn, and the id of that turn."""
    requested: str | None = None
    """The model that the newest prompt named; background requests do not count."""
    last_target: tuple[SessionSettings, Attempt] | None = None
    """The last attempt that succeeded, and the settings at that time."""
    note: str = ""
    """Text for the client that waits for a response to precede."""
    is_banner_due: bool = True
    agent: str | None = None


@dataclass(slots=True)
class Sessions:
    """All sessions. Past `max_sessions`, the least recently used one is dropped."""

    initial: SessionSettings
    max_sessions: int
    max_history: int
    """The most entries of one session."""
    max_bytes: int = MAX_HISTORY_BYTES
    """The most bytes in the entries of all sessions."""
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, id: str) -> Session:
        """The session of this id; creates it if there is none."""
        session = self._sessions.get(id)
        if session is None:
            session = Session(id, self.initial, deque())
            self._sessions[id] = session
            if len(self._sessions) > self.max_sessions:
                _, dropped = self._sessions.popitem(last=False)
                self._bytes -= sum(entry.size for entry in dropped.history)
        self._sessions.move_to_end(id)
        return session

    def record(self, session: Session, entry: Entry) -> None:
        """Add an entry to the history, and drop the oldest ones of the least used sessions."""
        if self._sessions.get(session.id) is not session:
            return  # dropped while its request was running
        session.history.append(entry)
        self._bytes += entry.size
        if len(session.history) > self.max_history:
            self._bytes -= session.history.popleft().size
        for oldest in self._sessions.values():
            while self._bytes > self.max_bytes and oldest.history:
                self._bytes -= oldest.history.popleft().size
            if self._bytes <= self.max_bytes:
                return

    def peek(self, id: str) -> Session | None:
        """The session of this id, without counting as a use of it."""
        return self._sessions.get(id)

    def __iter__(self) -> Iterator[Session]:
        """Most recently used first."""
        return reversed(self._sessions.values())

    def __len__(self) -> int:
        return len(self._sessions)


def truncated(text: str) -> str:
    """The text, or as much of it as the history keeps."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text)} characters)"


def digest(data: bytes) -> str:
    """The id of a turn with this data."""
    return hashlib.sha256(data).hexdigest()

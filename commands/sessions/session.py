"""Sessions: what holds for one conversation, and what was said in it; bounded in all ways."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from backends.model_id import ModelId
from backends.usage import Usage
from commands.routing.attempt import Attempt, AttemptResult
from commands.settings import SessionSettings

# Of a prompt or answer the history keeps this many characters.
MAX_TEXT = 32_768
# For requests that are sent again while other conversations go on in the same session.
MAX_RUNS = 8


class Entry(NamedTuple):
    """One exchange in the history. Times in seconds, `time` since the epoch.

    `key_name` and `attempts` tell how a backend was asked. `first_token_s` is None if no stream was
    wanted.
    """

    time: float
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
    total_s: float | None = None
    error: str | None = None


class Run(NamedTuple):
    """The commands of a turn: what was said to them, and what they have `changed`, by its name."""

    turn_id: str
    reply: str
    has_failed: bool
    changed: Mapping[str, object]


@dataclass(slots=True)
class Session:
    """One conversation's settings and history. `note` waits for an answer to be put in front of.

    `runs` are the last that changed something, newest first. `once` is the model of a single turn,
    with the mark of that turn. `last_target` is the attempt that worked last, with the settings that it
    was made under.
    """

    id: str
    settings: SessionSettings
    history: deque[Entry]
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=MAX_RUNS))
    once: tuple[ModelId, str] | None = None
    last_target: tuple[SessionSettings, Attempt] | None = None
    note: str = ""
    is_banner_due: bool = True
    agent: str | None = None


@dataclass(slots=True)
class Sessions:
    """All sessions; past `max_sessions` the one that was not used for longest goes."""

    initial: SessionSettings
    max_sessions: int
    max_history: int
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)

    def get(self, id: str) -> Session:
        """The session of this id, made if there is none."""
        session = self._sessions.get(id)
        if session is None:
            session = Session(id, self.initial, deque(maxlen=self.max_history))
            self._sessions[id] = session
            if len(self._sessions) > self.max_sessions:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(id)
        return session

    def peek(self, id: str) -> Session | None:
        """The session of this id, which does not count as using it."""
        return self._sessions.get(id)

    def __iter__(self) -> Iterator[Session]:
        """The session used last comes first."""
        return reversed(self._sessions.values())

    def __len__(self) -> int:
        return len(self._sessions)


def truncated(text: str) -> str:
    """`text`, or as much of it as the history keeps."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text)} characters)"


def digest(data: bytes) -> str:
    """Tells one turn of a conversation from another."""
    return hashlib.sha256(data).hexdigest()

"""One client request on its way: the only per-flow object that lives at run time.

It is kept by the addon in a dict by flow id, from the request's headers to the flow's end, and
never gets into `flow.metadata`, which is saved and shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mitmproxy import http

from addon.exchange import flow_record
from backends.backend import Headers, UpstreamCall
from backends.dialect import ClientRequest, Encoder
from backends.dialects.registry import Dialect
from backends.errors import ApiError
from backends.notes import Note
from backends.stream import Outcome, Pipe
from commands.routing.attempt import Attempt, AttemptResult
from commands.routing.target import Target
from commands.sessions.session import Session


@dataclass(slots=True)
class Upstream:
    """Where a request went; `title` is the vendor's name.

    `read_timeout_s`: how long the vendor may be silent, None for as long as usual.
    """

    title: str
    target: Target
    key_name: str
    call: UpstreamCall
    read_timeout_s: float | None = None


@dataclass(slots=True)
class AttemptLog:
    """The attempts of one prompt, as far as they have come."""

    current: Attempt
    started: float
    """When the current attempt began, monotonic."""
    planned: int
    """How many attempts are possible, the current one included."""
    failed: list[AttemptResult] = field(default_factory=list)
    is_open: bool = False
    """The current attempt has been sent, and has not failed yet."""

    @property
    def made(self) -> int:
        """How many attempts have been sent or given up before that."""
        return len(self.failed) + self.is_open

    def result(self, error: str | None, now: float) -> AttemptResult:
        """How the current attempt has ended."""
        backend, model, key = self.current
        return AttemptResult(backend, model, key.name, error, now - self.started)


@dataclass(slots=True)
class PromptContext:
    """Session, timing and text of a prompt: what its history entry needs beside the outcome."""

    session: Session
    text: str
    """The human's newest text, without commands and secrets."""
    time: float
    """Seconds since the epoch; the other times are monotonic."""
    started: float
    first_token_at: float | None = None
    model: str = ""
    """If the proxy replies itself: who would have been asked."""
    commands: Sequence[str] = ()
    """The commands of this turn, as typed."""


@dataclass(slots=True)
class Exchange:
    """One client request and all that becomes of it."""

    endpoint: str
    """Name of the endpoint, empty for a path on our own address that names none."""
    model_id: str
    """The model that the path names, if it names one."""
    headers: Headers
    """The client's headers without credentials."""
    reply_fields: Headers
    """Headers for every response to this request, whoever makes it."""
    is_captured: bool = False
    """Somebody will look at the flow or save it."""
    dialect: Dialect | None = None
    """What the client speaks; None if the endpoint takes no prompt."""
    requested: str | None = None
    """The model that the client named."""
    client_request: ClientRequest | None = None
    """The client's request, read."""
    encoder: Encoder | None = None
    """Writes the client's stream, however many attempts that takes; None for a whole response."""
    captures: dict[str, bytes] = field(default_factory=dict)
    """If `is_captured`: the bodies that the flow itself will not show, see `record`."""
    upstream_body: bytearray = field(default_factory=bytearray)
    """If `is_captured`: the body that the upstream sends."""
    upstream: Upstream | None = None
    """Where the current attempt goes; None until the request is routed."""
    pipe: Pipe | None = None
    """Translates the stream of the current attempt."""
    prompt: PromptContext | None = None
    """None if the request is not a prompt."""
    attempts: AttemptLog | None = None
    """None if no upstream is asked, or there can be only one attempt."""
    retry: Callable[[http.HTTPFlow, ApiError], ApiError | None] | None = None
    """Start the next attempt. Returns None if one was started, else the error for the client."""
    note: Note | None = None
    """Text in front of the answer."""
    outcome: Outcome = field(default_factory=Outcome)

    def capture(self, data: bytes) -> None:
        """Keep a piece of what the upstream sends, as far as it is to be kept."""
        if self.is_captured and len(self.upstream_body) < flow_record.MAX_ANSWER_BYTES:
            self.upstream_body += data

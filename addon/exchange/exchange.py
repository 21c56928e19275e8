"""The state of one client request: the only per-flow object at run time.

The addon keeps it by flow id, from the request head to the end of the flow. It is never in
`flow.metadata`, which is saved and shown.
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
    """The destination of the current attempt."""

    title: str
    """The vendor's name, for people."""
    target: Target
    key_name: str
    call: UpstreamCall
    read_timeout_s: float | None = None
    """How long the vendor may be silent; None for the default."""


@dataclass(slots=True)
class AttemptLog:
    """The attempts of one prompt so far."""

    current: Attempt
    started: float
    """When the current attempt started, monotonic."""
    planned: int
    """How many attempts are possible, the current one included."""
    failed: list[AttemptResult] = field(default_factory=list)
    is_open: bool = False
    """The current attempt has been sent, and has not failed yet."""

    @property
    def made(self) -> int:
        """How many attempts have started."""
        return len(self.failed) + self.is_open

    def result(self, error: str | None, now: float) -> AttemptResult:
        """The result of the current attempt."""
        backend, model, key = self.current
        return AttemptResult(backend, model, key.name, error, now - self.started)


@dataclass(slots=True)
class PromptContext:
    """Session, timing and text of a prompt; input for its history entry."""

    session: Session
    text: str
    """The newest text that the human typed, without commands and secrets."""
    time: float
    """Seconds since the epoch; the other times are monotonic."""
    started: float
    first_token_at: float | None = None
    model: str = ""
    """If the proxy replies itself: the target that the prompt would have had."""
    commands: Sequence[str] = ()
    """The commands of this turn, as typed."""


@dataclass(slots=True)
class Exchange:
    """One client request, its attempts and its outcome."""

    endpoint: str
    """Name of the endpoint; empty for an unknown path on the proxy's own address."""
    model_id: str
    """The model id in the path, or empty."""
    headers: Headers
    """The client's headers without credentials."""
    reply_headers: Headers
    """Headers for every response to this request."""
    is_captured: bool = False
    """The flow will be shown or saved."""
    dialect: Dialect | None = None
    """The client's dialect; None if the endpoint takes no prompt."""
    requested: str | None = None
    """The model that the client named."""
    client_request: ClientRequest | None = None
    """The parsed request of the client."""
    encoder: Encoder | None = None
    """Writes the client's stream, over all attempts; None if the client wants no stream."""
    captures: dict[str, bytes] = field(default_factory=dict)
    """If `is_captured`: the bodies for `flow_record`, by name."""
    upstream_body: bytearray = field(default_factory=bytearray)
    """If `is_captured`: the body of the current attempt's response."""
    upstream: Upstream | None = None
    """The destination of the current attempt; None until the request is routed."""
    pipe: Pipe | None = None
    """Translates the stream of the current attempt."""
    prompt: PromptContext | None = None
    """None if the request is not a prompt."""
    attempts: AttemptLog | None = None
    """None if the request is not a prompt for an upstream."""
    retry: Callable[[http.HTTPFlow, ApiError], ApiError | None] | None = None
    """Start the next attempt. Returns None if one was started, else the error for the client."""
    note: Note | None = None
    """Text to put before the response's own text."""
    outcome: Outcome = field(default_factory=Outcome)

    def capture(self, data: bytes) -> None:
        """Add a piece of the upstream's body to `upstream_body`, up to its limit."""
        if self.is_captured and len(self.upstream_body) < flow_record.MAX_RESPONSE_BYTES:
            self.upstream_body += data

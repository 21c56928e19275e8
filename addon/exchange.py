"""One client request on its way: the only per-flow object that lives at run time.

It is kept by the addon in a dict by flow id, from the request's headers to the flow's end, and
never gets into `flow.metadata`, which is saved and shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mitmproxy import http

from addon import record
from addon.endpoints import Claim
from backends.dialect import Asked, Encoder
from backends.errors import ApiError
from backends.notes import Note
from backends.protocol import Call, Headers
from backends.stream import Outcome, Pipe
from commands.routing import Target
from commands.session import Session

if TYPE_CHECKING:
    from addon.attempts import Attempts


@dataclass(slots=True)
class Upstream:
    """Where a request went; `title` is the vendor's name.

    `silence_s`: how long the vendor may be silent, None for as long as usual.
    """

    title: str
    target: Target
    key_name: str
    call: Call
    silence_s: float | None = None


@dataclass(slots=True)
class Talk:
    """What the history is told of an exchange besides its outcome.

    `time` is in seconds since the epoch, the other times are monotonic. `model` is who would have
    been asked, if the proxy answers itself. `commands` are those that were typed. `attempts` are
    those that failed, for people; `journey` makes them.
    """

    session: Session
    prompt: str
    time: float
    started: float
    attempts: list[str] = field(default_factory=list)
    journey: "Attempts | None" = None
    first_token_at: float | None = None
    model: str = ""
    commands: Sequence[str] = ()


@dataclass(slots=True)
class Exchange:
    """`claim` is None for a path on our own address that names no endpoint.

    `headers` are the client's, without credentials. `reply_fields` go onto every answer of this
    request, whoever makes it. `talk` is there for prompts. `upstream` is set once one is routed,
    and `pipe` too if the client wants a stream; `asked` is what it has sent, and `encoder` writes
    its stream, whatever attempts that takes; `note` goes in front of the answer. `retry` puts
    another request into the flow if there is one to try after an error; else it returns the error
    to tell the client. `requested` is the model that the client named. If somebody will look at
    the flow (`is_kept`), `sides` has what the flow itself will not show (see `record`), and
    `received` what the upstream sends.
    """

    claim: Claim | None
    headers: Headers
    reply_fields: Headers
    is_kept: bool = False
    requested: str | None = None
    asked: Asked | None = None
    encoder: Encoder | None = None
    sides: dict[str, bytes] = field(default_factory=dict)
    received: bytearray = field(default_factory=bytearray)
    upstream: Upstream | None = None
    pipe: Pipe | None = None
    talk: Talk | None = None
    retry: Callable[[http.HTTPFlow, ApiError], ApiError | None] | None = None
    note: Note | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def receive(self, data: bytes) -> None:
        """Keep a piece of what the upstream sends, as far as it is to be kept."""
        if self.is_kept and len(self.received) < record.MAX_ANSWER_BYTES:
            self.received += data

"""How far a claimed request is, on the upstream's side and on the client's.

Both sides move independently. Every move that may happen stands in one of two tables; any other is
a bug of the proxy.

    upstream                                  client

    NONE ──► WAITING ──► COMPLETE             NOTHING ──► HEAD ──► CONTENT
      ▲         │            │                   │          │         │
      │         ▼            │                   │          ├────► ERROR
      └──── CANCELLED        │                   ▼          ▼         ▼
      └──────────────────────┘                 ENDED ◄─────────────────
"""

from collections.abc import Mapping
from enum import Enum


class Upstream(Enum):
    """The current attempt, as seen from the stream."""

    NONE = "no connection"
    WAITING = "request sent, response not complete"
    COMPLETE = "response complete"
    CANCELLED = "whatever still comes is not for this client"


class Client(Enum):
    """What the client has received."""

    NOTHING = "nothing"
    HEAD = "the head of a stream, perhaps comments"
    CONTENT = "a part of the answer"
    ERROR = "an error event"
    ENDED = "the whole response"


UPSTREAM_MOVES: Mapping[Upstream, frozenset[Upstream]] = {
    Upstream.NONE: frozenset({Upstream.WAITING, Upstream.CANCELLED}),
    Upstream.WAITING: frozenset({Upstream.COMPLETE, Upstream.CANCELLED, Upstream.NONE}),
    Upstream.COMPLETE: frozenset({Upstream.NONE}),
    Upstream.CANCELLED: frozenset({Upstream.NONE}),
}
CLIENT_MOVES: Mapping[Client, frozenset[Client]] = {
    Client.NOTHING: frozenset({Client.HEAD, Client.ENDED}),
    Client.HEAD: frozenset({Client.CONTENT, Client.ERROR, Client.ENDED}),
    Client.CONTENT: frozenset({Client.ERROR, Client.ENDED}),
    Client.ERROR: frozenset({Client.ENDED}),
    Client.ENDED: frozenset(),
}


class IllegalMove(Exception):
    """A bug: the stream was about to do what its state does not allow."""


class StreamState:
    """The two states of one stream. Moving to the present state is no move."""

    upstream = Upstream.NONE
    client = Client.NOTHING

    def move_upstream(self, to: Upstream) -> None:
        """Raises IllegalMove."""
        if to is not self.upstream and to not in UPSTREAM_MOVES[self.upstream]:
            raise IllegalMove(f"upstream: {self.upstream.name} to {to.name}")
        self.upstream = to

    def move_client(self, to: Client) -> None:
        """Raises IllegalMove."""
        if to is not self.client and to not in CLIENT_MOVES[self.client]:
            raise IllegalMove(f"client: {self.client.name} to {to.name}")
        self.client = to

    @property
    def is_listening(self) -> bool:
        """What the upstream says is for this client."""
        return self.upstream in (Upstream.NONE, Upstream.WAITING)

    @property
    def may_retry(self) -> bool:
        """The client has nothing yet that another attempt would contradict."""
        return self.client in (Client.NOTHING, Client.HEAD)

"""The state of a claimed stream: one state machine for its upstream, one for its client.

The two move independently. Two tables list every allowed move; any other is a bug of the proxy.

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
    """The upstream side of the current attempt."""

    NONE = "no connection"
    WAITING = "request sent, response not complete"
    COMPLETE = "response complete"
    CANCELLED = "further events are dropped"


class Client(Enum):
    """What the client has received so far."""

    NOTHING = "nothing"
    HEAD = "the head of a stream, perhaps comments"
    CONTENT = "a part of the response"
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
    """A bug: the stream's state does not allow this."""


class StreamState:
    """The two states of one stream. A move to the current state is allowed and does nothing."""

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
        """Upstream events are for this client."""
        return self.upstream in (Upstream.NONE, Upstream.WAITING)

    @property
    def may_retry(self) -> bool:
        """The client has received nothing of a response yet."""
        return self.client in (Client.NOTHING, Client.HEAD)

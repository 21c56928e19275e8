"""Upstream connections that wait for their next request, whichever client it comes from."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mitmproxy.connection import Address

IDLE_S = 55.0  # servers commonly close after 60
MAX_IDLE = 64


class Target(NamedTuple):
    """Where a connection leads, who vouches for it (None: no TLS), and the address it is to have.

    `trust` is the same object as long as the options for TLS are the same.
    """

    address: Address
    trust: ssl.SSLContext | None
    local: Address | None


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """A connection; `facts` are the fields of mitmproxy's `Server` as they were once it stood."""

    target: Target
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    facts: Mapping[str, object]

    def close(self) -> None:
        """At once: whoever is asked nothing any more need not be told goodbye."""
        self.writer.transport.abort()

    @property
    def is_silent(self) -> bool:
        """Whether nothing, not even an end, is on its way in either direction."""
        transport, reader = self.writer.transport, self.reader
        is_unread = reader.at_eof() or reader._buffer  # type: ignore[attr-defined]
        return not (is_unread or transport.is_closing() or transport.get_write_buffer_size())


class Pool:
    """At most `MAX_IDLE` connections wait, each for `IDLE_S` seconds."""

    def __init__(self) -> None:
        self._idle: dict[_Idle, None] = {}  # in the order in which they came
        self._is_closed = False

    def take(self, target: Target) -> Wire | None:
        """The one that has served last, since it is the likeliest to be still there."""
        for idle in reversed(self._idle):
            if idle.wire.target == target:
                del self._idle[idle]
                return idle.wake()
        return None

    def give(self, wire: Wire) -> None:
        """Let a connection wait that has got the whole answer to its last request."""
        if self._is_closed or not wire.is_silent:
            wire.close()
            return
        self._idle[_Idle(wire, self._drop)] = None
        if len(self._idle) > MAX_IDLE:
            self._drop(next(iter(self._idle)))

    def close(self) -> None:
        """None waits any more from here on."""
        self._is_closed = True
        self.clear()

    def clear(self) -> None:
        """Close those that wait."""
        for idle in tuple(self._idle):
            self._drop(idle)

    def _drop(self, idle: "_Idle") -> None:
        if idle in self._idle:
            del self._idle[idle]
            idle.wake().close()


class _Idle(asyncio.Protocol):
    """Listens to a connection that waits. Whatever there is to hear, it is of no use any more."""

    def __init__(self, wire: Wire, drop: Callable[["_Idle"], None]) -> None:
        self.wire = wire
        self._drop = drop
        self._protocol = wire.writer.transport.get_protocol()
        wire.writer.transport.set_protocol(self)
        self._timer = asyncio.get_running_loop().call_later(IDLE_S, drop, self)

    def wake(self) -> Wire:
        self._timer.cancel()
        self.wire.writer.transport.set_protocol(self._protocol)
        return self.wire

    def data_received(self, data: bytes) -> None:
        self._drop(self)

    def eof_received(self) -> None:
        self._drop(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop(self)

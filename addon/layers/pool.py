"""Upstream connections that wait for their next request, whichever client it comes from."""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from mitmproxy.connection import Address

IDLE_S = 55.0  # servers commonly close after 60
MAX_IDLE = 64
MAX_SLEEP_S = 2.0

Receiver = Callable[[bytes], None]


class Moment(NamedTuple):
    """Now, on both clocks, in seconds."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.monotonic(), time.time())


def is_usable(last_received: Moment, now: Moment) -> bool:
    """Whether a connection last heard at some moment is likely to be still there.

    The monotonic clock stands still while the machine sleeps (Linux, macOS), the wall clock does
    not: what waited meanwhile has most likely been forgotten by the network, or the network is
    another one now.
    """
    waited_s = now.monotonic - last_received.monotonic
    slept_s = now.wall - last_received.wall - waited_s
    return waited_s < IDLE_S and slept_s < MAX_SLEEP_S


class PoolKey(NamedTuple):
    """Where a connection leads, who vouches for it (None: no TLS), and the address it is to have.

    `tls` is the same object as long as the options for TLS are the same.
    """

    address: Address
    tls: ssl.SSLContext | None
    local: Address | None


class RawConnection(asyncio.StreamReaderProtocol):
    """A connection: written to as a stream, and heard without delay by who `listens` to it.

    Listeners get bytes as they come, and b"" for the end. Without one the connection is closed as
    soon as anything is heard: no request is on its way. `server_info` are the fields of mitmproxy's
    `Server` as they were once the connection stood.
    """

    writer: asyncio.StreamWriter
    server_info: Mapping[str, object]
    idle_since: Moment  # to the pool

    def __init__(self, key: PoolKey) -> None:
        self._errors = asyncio.StreamReader()  # the writer asks it for those
        super().__init__(self._errors)
        self.key = key
        self._receiver: Receiver | None = None

    @property
    def transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self.writer.transport)

    def set_receiver(self, receiver: Receiver | None) -> None:
        self._receiver = receiver

    def close(self) -> None:
        """At once: whoever is asked nothing any more need not be told goodbye."""
        self._receiver = None
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self.writer = asyncio.StreamWriter(
            cast(asyncio.Transport, transport), self, self._errors, loop
        )

    def data_received(self, data: bytes) -> None:
        if self._receiver:
            self._receiver(data)
        else:
            self.close()

    def eof_received(self) -> bool:
        self.data_received(b"")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.data_received(b"")


class Pool:
    """At most `MAX_IDLE` connections wait, each for `IDLE_S` seconds."""

    def __init__(self) -> None:
        self._idle: dict[RawConnection, asyncio.TimerHandle] = {}  # in the order in which they came
        self._is_closed = False

    def acquire(self, key: PoolKey) -> RawConnection | None:
        """The one that has served last, since it is the likeliest to be still there."""
        now = Moment.now()
        for connection in reversed(tuple(self._idle)):
            if not is_usable(connection.idle_since, now):
                self._drop(connection)
            elif connection.key == key:
                self._idle.pop(connection).cancel()
                connection.set_receiver(None)
                return connection
        return None

    def release(self, connection: RawConnection) -> None:
        """Let a connection wait that has got the whole answer to its last request."""
        transport = connection.transport
        if self._is_closed or transport.is_closing() or transport.get_write_buffer_size():
            connection.close()
            return
        connection.idle_since = Moment.now()
        connection.set_receiver(lambda _: self._drop(connection))
        self._idle[connection] = asyncio.get_running_loop().call_later(
            IDLE_S, self._drop, connection
        )
        if len(self._idle) > MAX_IDLE:
            self._drop(next(iter(self._idle)))

    def close(self) -> None:
        """None waits any more from here on."""
        self._is_closed = True
        self.clear()

    def clear(self) -> None:
        """Close those that wait."""
        for connection in tuple(self._idle):
            self._drop(connection)

    def _drop(self, connection: RawConnection) -> None:
        self._idle.pop(connection).cancel()
        connection.close()

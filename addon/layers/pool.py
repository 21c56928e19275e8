"""Keeps idle upstream connections for the next request, from any client.

A connection enters the pool once every request on it has its whole response. Any byte or close
while it is idle drops it.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from mitmproxy.connection import Address

IDLE_S = 55.0
"""Servers commonly close idle connections after 60 s."""
MAX_IDLE = 64
MAX_SLEEP_S = 2.0
"""A connection that was idle through a longer sleep of the machine is not used."""

Receiver = Callable[[bytes], None]
"""Called with each piece of data, and with b"" at the end."""


class Moment(NamedTuple):
    """A time on both clocks, in seconds."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.monotonic(), time.time())


def is_usable(last_received: Moment, now: Moment) -> bool:
    """Whether a connection is likely to be alive that last received data at some moment.

    The monotonic clock stops while the machine sleeps (Linux, macOS), the wall clock does not.
    After a sleep the upstream has most likely dropped the connection, or the network has changed.
    """
    waited_s = now.monotonic - last_received.monotonic
    slept_s = now.wall - last_received.wall - waited_s
    return waited_s < IDLE_S and slept_s < MAX_SLEEP_S


class PoolKey(NamedTuple):
    """Connections with equal keys are interchangeable."""

    address: Address
    tls: ssl.SSLContext | None
    """The same object while the TLS options are the same; None without TLS."""
    local: Address | None
    """The local address to bind."""


class RawConnection(asyncio.StreamReaderProtocol):
    """A connection without a layer: a stream to write to, and a receiver for its data.

    The receiver is called without a task switch. Without a receiver any data closes the
    connection, since no request is waiting.
    """

    writer: asyncio.StreamWriter
    server_info: Mapping[str, object]
    """Fields of mitmproxy's `Server`, copied when the connection was established."""
    idle_since: Moment

    def __init__(self, key: PoolKey) -> None:
        self._errors = asyncio.StreamReader()  # the writer looks for errors there
        super().__init__(self._errors)
        self.key = key
        self._receiver: Receiver | None = None

    @property
    def transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self.writer.transport)

    def set_receiver(self, receiver: Receiver | None) -> None:
        self._receiver = receiver

    def close(self) -> None:
        """Close at once, without TLS's goodbye: no request is waiting."""
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
        self._idle: dict[RawConnection, asyncio.TimerHandle] = {}  # oldest first
        self._is_closed = False

    def acquire(self, key: PoolKey) -> RawConnection | None:
        """Take the connection that was used last: it is the likeliest to be alive."""
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
        """Keep a connection whose last request has its whole response, or close it."""
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
        """Close the idle connections, and each that is released later."""
        self._is_closed = True
        self.clear()

    def clear(self) -> None:
        """Close the idle connections."""
        for connection in tuple(self._idle):
            self._drop(connection)

    def _drop(self, connection: RawConnection) -> None:
        self._idle.pop(connection).cancel()
        connection.close()

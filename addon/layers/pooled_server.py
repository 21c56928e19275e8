"""An upstream connection of the pool while it serves one client connection.

What `ConnectionHandler.open_connection` does for other connections is done here for the pool's:
to the client's handler and to add-ons a lease looks like a connection of its own.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine

from mitmproxy import ctx
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.proxy.server_hooks import (
    ServerConnectedHook,
    ServerConnectErrorHook,
    ServerConnectHook,
    ServerConnectionHookData,
    ServerDisconnectedHook,
)
from mitmproxy.utils import asyncio_utils, human

from addon.layers import connect
from addon.layers.deps import LayerDeps
from addon.layers.pool import Moment, PoolKey, RawConnection, is_usable
from addon.layers.tls import client_context

# What a client has not taken yet; asyncio's own limit, at which draining begins to wait.
MAX_UNSENT = 65536


def handler_of(client: Client) -> ConnectionHandler | None:
    """Who does the I/O for a client that speaks over a socket of asyncio."""
    found: ConnectionHandler | None
    found = ctx.master.addons.get("proxyserver").connections.get(client.id)
    return found if found and writer_of(found, client) else None


def writer_of(handler: ConnectionHandler, connection: Connection) -> asyncio.StreamWriter | None:
    """What is written to, if it is a socket of asyncio."""
    io = handler.transports.get(connection)
    return io.writer if io and isinstance(io.writer, asyncio.StreamWriter) else None


class Lease:
    """`is_warm`: the connection has served others before. `is_over`: no more is to come from it.

    `is_at_rest` tells whether every request on it has got its whole answer.
    """

    is_warm = False
    is_over = False
    _connection: RawConnection | None = None

    def __init__(
        self,
        deps: LayerDeps,
        handler: ConnectionHandler,
        server: Server,
        is_at_rest: Callable[[], bool],
    ) -> None:
        self.server = server
        self._deps = deps
        self._handler = handler
        self._is_at_rest = is_at_rest
        self._client = writer_of(handler, handler.client)
        self._heard_at = Moment.now()
        self._ended = asyncio.Event()
        self._at_work: set[asyncio.Task[None]] = set()
        self._told = ServerConnectionHookData(client=handler.client, server=server)

    def begin(self, command: "OpenLease") -> None:
        """Complete the command as soon as there is a connection."""
        self._start(self._serve(command))

    @property
    def is_ready(self) -> bool:
        """Whether the next request may be put on the connection, whoever it comes from."""
        return (
            self.server.state is ConnectionState.OPEN
            and self._is_at_rest()
            and not self._at_work
            and is_usable(self._heard_at, Moment.now())
        )

    def _start(self, work: Coroutine[None, None, None]) -> None:
        asyncio_utils.create_task(
            work,
            name=f"upstream connection {self.server.address}",
            keep_ref=True,
            client=self._handler.client.peername,
        )

    async def _serve(self, command: "OpenLease") -> None:
        handler, server = self._handler, self.server
        handler.transports[server] = ConnectionIO(handler=asyncio.current_task())
        is_open, reason = False, "connection cancelled"
        try:
            self._connection = await self._open(command.is_fresh)
            await handler.handle_hook(ServerConnectedHook(self._told))
            await handler.server_event(events.OpenConnectionCompleted(command, None))
            is_open = True
            await self._ended.wait()
        except (OSError, ValueError) as error:
            reason = _reason(error)
        finally:
            self._release()
            # Apart: the handler may cancel this task more than once, and the end must be told.
            self._start(self._end() if is_open else self._tell_failure(command, reason))

    async def _open(self, is_fresh: bool) -> RawConnection:
        handler, server = self._handler, self.server
        await handler.handle_hook(ServerConnectHook(self._told))
        if server.error:
            raise OSError(f"Connection killed: {server.error}")
        assert server.address
        key = PoolKey(
            server.address, client_context(ctx.options) if server.tls else None, server.sockname
        )
        connection = None if is_fresh else self._deps.pool.acquire(key)
        self.is_warm, self._heard_at = connection is not None, Moment.now()
        if connection:
            connect.copy_server_info(server, connection)
        else:
            connection = await connect.connect(key, server)
            connect.notice_death(connection.writer, self._deps.connect_timeout_s)
        server.state = ConnectionState.OPEN
        if connection.writer.is_closing():
            raise OSError("closed by the server")
        connection.set_receiver(self._hear)
        handler.transports[server] = ConnectionIO(asyncio.current_task(), writer=connection.writer)
        how = "reuse" if self.is_warm else "connect"
        handler.log(f"server {how} {human.format_address(server.address)}")
        return connection

    def _hear(self, data: bytes) -> None:
        """The event has been dealt with when this returns, if the handler was at leisure."""
        if not data:
            self._ended.set()
            return
        self._heard_at = Moment.now()
        self._keep(self._handler.server_event(events.DataReceived(self.server, data)))
        assert self._connection
        if self._client and self._client.transport.get_write_buffer_size() > MAX_UNSENT:
            self._connection.transport.pause_reading()
            self._keep(self._wait_for_client(self._connection.transport))

    async def _wait_for_client(self, upstream: asyncio.Transport) -> None:
        await self._handler.drain_writers()
        upstream.resume_reading()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        """Do it at once, as far as it need not wait."""
        task = asyncio.create_task(work)
        if not task.done():
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)

    def _release(self) -> None:
        """From here on neither the handler nor this lease does anything to the connection."""
        self._handler.transports.pop(self.server)
        is_ready, self.server.state = self.is_ready, ConnectionState.CLOSED
        if self._connection:
            if is_ready:
                self._deps.pool.release(self._connection)
            else:
                self._connection.close()
                self.server.timestamp_end = time.time()

    async def _tell_failure(self, command: "OpenLease", reason: str) -> None:
        self.server.error = self.server.error or reason
        self._handler.log(f"error establishing server connection: {reason}")
        await self._handler.handle_hook(ServerConnectErrorHook(self._told))
        await self._handler.server_event(events.OpenConnectionCompleted(command, reason))
        self.is_over = True

    async def _end(self) -> None:
        await self._handler.server_event(events.ConnectionClosed(self.server))
        await self._handler.handle_hook(ServerDisconnectedHook(self._told))
        self.is_over = True


class OpenLease(commands.OpenConnection):
    """Carried out by the lease. `is_fresh`: with a connection that nobody has used before."""

    def __init__(self, lease: Lease, *, is_fresh: bool) -> None:
        super().__init__(lease.server)
        self.lease = lease
        self.is_fresh = is_fresh


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Certificate verify failed: {error.verify_message}"
    return str(error) or type(error).__name__

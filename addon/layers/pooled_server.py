"""Runs a pooled upstream connection while it serves one client connection.

`PooledServer` does what `ConnectionHandler.open_connection` does for other connections. The
client's handler and the addons see an ordinary server connection with the usual hooks.
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

MAX_UNSENT = 65536
"""Bytes that wait for the client, above which the upstream is not read."""
RESUME_UNSENT = 16384
"""Bytes that wait for the client, below which reading goes on. Both are asyncio's limits, too."""


def handler_of(client: Client) -> ConnectionHandler | None:
    """The handler of a client connection; None if asyncio does not do its I/O."""
    found: ConnectionHandler | None
    found = ctx.master.addons.get("proxyserver").connections.get(client.id)
    return found if found and writer_of(found, client) else None


def writer_of(handler: ConnectionHandler, connection: Connection) -> asyncio.StreamWriter | None:
    """The writer of a connection; None if asyncio does not do its I/O."""
    io = handler.transports.get(connection)
    return io.writer if io and isinstance(io.writer, asyncio.StreamWriter) else None


class PooledServer:
    """An upstream connection for one client connection, taken from the pool or new."""

    is_reused = False
    """The connection has served another client connection before."""
    is_closed = False
    """No more events follow."""
    _is_paused = False
    """The upstream is not read, since the client is slow."""
    _connection: RawConnection | None = None

    def __init__(
        self,
        deps: LayerDeps,
        handler: ConnectionHandler,
        server: Server,
        is_idle: Callable[[], bool],
        queued: Callable[[], int],
    ) -> None:
        """`is_idle`: every request on the connection has its whole response.

        `queued`: bytes of the current response that wait for the client's HTTP/2 window.
        """
        self.server = server
        self._deps = deps
        self._handler = handler
        self._is_idle = is_idle
        self._queued = queued
        self._client_progress = asyncio.Event()
        self._client_writer = writer_of(handler, handler.client)
        self._last_received_at = Moment.now()
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._hook_data = ServerConnectionHookData(client=handler.client, server=server)

    def open(self, command: "OpenPooledServer") -> None:
        """Complete the command once the connection is established."""
        self._start(self._run(command))

    @property
    def is_ready(self) -> bool:
        """The connection can take the next request, from any client."""
        return (
            self.server.state is ConnectionState.OPEN
            and self._is_idle()
            and not self._tasks
            and is_usable(self._last_received_at, Moment.now())
        )

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio_utils.create_task(
            coroutine,
            name=f"upstream connection {self.server.address}",
            keep_ref=True,
            client=self._handler.client.peername,
        )

    async def _run(self, command: "OpenPooledServer") -> None:
        handler, server = self._handler, self.server
        handler.transports[server] = ConnectionIO(handler=asyncio.current_task())
        is_open, reason = False, "connection cancelled"
        try:
            self._connection = await self._acquire(command.needs_new)
            await handler.handle_hook(ServerConnectedHook(self._hook_data))
            await handler.server_event(events.OpenConnectionCompleted(command, None))
            is_open = True
            await self._closed.wait()
        except (OSError, ValueError) as error:
            reason = _reason(error)
        finally:
            self._release()
            # In a new task: the handler may cancel this one again before it has reported the end.
            self._start(self._report_close() if is_open else self._report_failure(command, reason))

    async def _acquire(self, needs_new: bool) -> RawConnection:
        handler, server = self._handler, self.server
        await handler.handle_hook(ServerConnectHook(self._hook_data))
        if server.error:
            raise OSError(f"Connection killed: {server.error}")
        assert server.address
        key = PoolKey(
            server.address, client_context(ctx.options) if server.tls else None, server.sockname
        )
        connection = None if needs_new else self._deps.pool.acquire(key)
        self.is_reused, self._last_received_at = connection is not None, Moment.now()
        if connection:
            connect.copy_server_info(server, connection)
        else:
            connection = await connect.connect(key, server)
            connect.notice_death(connection.writer, self._deps.connect_timeout_s)
        server.state = ConnectionState.OPEN
        if connection.writer.is_closing():
            raise OSError("closed by the server")
        connection.set_receiver(self._on_data)
        handler.transports[server] = ConnectionIO(asyncio.current_task(), writer=connection.writer)
        how = "reuse" if self.is_reused else "connect"
        handler.log(f"server {how} {human.format_address(server.address)}")
        return connection

    def _on_data(self, data: bytes) -> None:
        """Pass data on to the layers, before this returns if the handler is not busy."""
        if not data:
            self._closed.set()
            return
        self._last_received_at = Moment.now()
        self._run_eagerly(self._handler.server_event(events.DataReceived(self.server, data)))
        assert self._connection
        if not self._is_paused and self._unsent() > MAX_UNSENT:
            self._is_paused = True
            self._connection.transport.pause_reading()
            self._run_eagerly(self._wait_for_client(self._connection.transport))

    def on_client_data(self) -> None:
        """The client may have opened its HTTP/2 window."""
        self._client_progress.set()

    def _unsent(self) -> int:
        writer = self._client_writer
        return self._queued() + (writer.transport.get_write_buffer_size() if writer else 0)

    async def _wait_for_client(self, upstream: asyncio.Transport) -> None:
        while self._queued() > RESUME_UNSENT and self.server.state is ConnectionState.OPEN:
            self._client_progress.clear()
            await self._client_progress.wait()
        await self._handler.drain_writers()
        self._is_paused = False
        if not upstream.is_closing():
            upstream.resume_reading()

    def _run_eagerly(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run the coroutine eagerly; keep the task if it blocks."""
        task = asyncio.create_task(coroutine)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _release(self) -> None:
        """Take the connection from the handler; return it to the pool, or close it."""
        self._handler.transports.pop(self.server)
        is_ready, self.server.state = self.is_ready, ConnectionState.CLOSED
        self._client_progress.set()
        if self._connection:
            if is_ready:
                self._deps.pool.release(self._connection)
            else:
                self._connection.close()
                self.server.timestamp_end = time.time()

    async def _report_failure(self, command: "OpenPooledServer", reason: str) -> None:
        self.server.error = self.server.error or reason
        self._handler.log(f"error establishing server connection: {reason}")
        await self._handler.handle_hook(ServerConnectErrorHook(self._hook_data))
        await self._handler.server_event(events.OpenConnectionCompleted(command, reason))
        self.is_closed = True

    async def _report_close(self) -> None:
        await self._handler.server_event(events.ConnectionClosed(self.server))
        await self._handler.handle_hook(ServerDisconnectedHook(self._hook_data))
        self.is_closed = True


class OpenPooledServer(commands.OpenConnection):
    """Carried out by the `PooledServer`. `needs_new`: with a connection never used before."""

    def __init__(self, pooled: PooledServer, *, needs_new: bool) -> None:
        super().__init__(pooled.server)
        self.pooled = pooled
        self.needs_new = needs_new


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Certificate verify failed: {error.verify_message}"
    return str(error) or type(error).__name__

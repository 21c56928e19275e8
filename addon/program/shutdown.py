"""Graceful shutdown: stop listening, let running requests finish, close."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from weakref import WeakSet

from mitmproxy import ctx, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client
from mitmproxy.proxy.server import ConnectionHandler

from backends.errors import ApiError

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.02


def end_on_hangup() -> None:
    """Shut down on SIGHUP as on SIGTERM: its terminal is gone. `nohup` ignores it, and stays."""
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    is_main = threading.current_thread() is threading.main_thread()  # else asyncio raises
    if hangup and is_main and signal.getsignal(hangup) is signal.SIG_DFL:
        asyncio.get_running_loop().add_signal_handler(hangup, ctx.master.shutdown)


class GracefulShutdown:
    """Tracks running requests and gives them up to `limit_s` seconds to finish."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._flows: WeakSet[http.HTTPFlow] = WeakSet()
        self._clients: WeakSet[Client] = WeakSet()
        self._has_begun = False

    def track(self, flow: http.HTTPFlow) -> None:
        """Wait for this flow at shutdown. Raises ApiError (503) if shutdown has begun."""
        if self._has_begun:
            raise ApiError(
                503,
                "The proxy is shutting down",
                code="shutting_down",
                headers=[("retry-after", "1"), ("connection", "close")],
            )
        self._flows.add(flow)
        self._clients.add(flow.client_conn)

    def finish(self, close: Callable[[], None]) -> Awaitable[None] | None:
        """Run the shutdown and then call `close`; for the `done` hook.

        Returns a coroutine when mitmproxy ends, which awaits it. Shuts down at once when the script
        is unloaded: connections that its rules admitted must not outlive it. So it does in
        mitmproxy's console, which has asked the user and no longer draws.
        """
        if ctx.master.should_exit.is_set() and not hasattr(ctx.master, "prompt_for_exit"):
            return self._finish(close)
        close()
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        for handler in tuple(server.connections.values()):
            io = handler.transports.get(handler.client)
            if io and io.handler:
                io.handler.cancel("the proxy's script is unloaded")
        return None

    async def _finish(self, close: Callable[[], None]) -> None:
        """Wait for running requests, the time limit, or a second signal to end.

        Stops listening first: a balancer retries refused connections elsewhere, and the next
        process can take the address.
        """
        self._has_begun = True
        stop_now = ctx.master.should_exit
        stop_now.clear()
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        await server.servers.update([])
        if self._is_busy(server):
            logger.info(
                "Shutting down: %g s for running requests (interrupt again to stop now)",
                self._limit_s,
            )
        deadline = time.monotonic() + self._limit_s
        while self._is_busy(server) and not stop_now.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(POLL_INTERVAL_S)
        close()

    def _is_busy(self, server: Proxyserver) -> bool:
        waiting = {flow.client_conn for flow in self._flows if flow.live}
        return any(
            client in waiting or _has_unsent(handler, client)
            for client in self._clients
            if (handler := server.connections.get(client.id))
        )


def _has_unsent(handler: ConnectionHandler, client: Client) -> bool:
    """Whether this process still buffers bytes for the client."""
    io = handler.transports.get(client)
    writer = io and io.writer
    return isinstance(writer, asyncio.StreamWriter) and (
        writer.transport.get_write_buffer_size() > 0
    )

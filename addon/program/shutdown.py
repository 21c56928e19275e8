"""The end of the proxy: what runs may finish, for a while, and nothing new begins."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from weakref import WeakSet

from mitmproxy import ctx, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client
from mitmproxy.proxy.server import ConnectionHandler

from backends.errors import ApiError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.02


class Stopping:
    """Knows the requests that are under way; they get `limit_s` to finish."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._flows: WeakSet[http.HTTPFlow] = WeakSet()
        self._clients: WeakSet[Client] = WeakSet()
        self._has_begun = False

    def admit(self, flow: http.HTTPFlow) -> None:
        """Wait for this flow at the end; ApiError 503 if that has come."""
        if self._has_begun:
            raise ApiError(
                503,
                "The proxy is shutting down",
                code="shutting_down",
                headers=[("retry-after", "1"), ("connection", "close")],
            )
        self._flows.add(flow)
        self._clients.add(flow.client_conn)

    def end(self, close: Callable[[], None]) -> Awaitable[None] | None:
        """What the `done` hook has to do, and at last `close`.

        mitmproxy awaits it when it ends, but not where a script is reloaded: then no connection
        stays that was let in by rules which are gone. Its console has asked its user, and is dark
        by now: it ends at once.
        """
        if ctx.master.should_exit.is_set() and not hasattr(ctx.master, "prompt_for_exit"):
            return self._end(close)
        close()
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        for handler in tuple(server.connections.values()):
            io = handler.transports.get(handler.client)
            if io and io.handler:
                io.handler.cancel("the proxy's script is unloaded")
        return None

    async def _end(self, close: Callable[[], None]) -> None:
        """Until all is over, the time is up, or mitmproxy is told once more to end.

        From here on nothing listens: a balancer takes a refused connection to another process, and
        the next process can have the address.
        """
        self._has_begun = True
        is_urged = ctx.master.should_exit
        is_urged.clear()
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        await server.servers.update([])
        if self._is_busy(server):
            logger.info(
                "Running requests get %g s to finish; stop again to end them", self._limit_s
            )
        end = time.monotonic() + self._limit_s
        while self._is_busy(server) and not is_urged.is_set() and time.monotonic() < end:
            await asyncio.sleep(LOOK_EVERY_S)
        close()

    def _is_busy(self, server: Proxyserver) -> bool:
        waiting = {flow.client_conn for flow in self._flows if flow.live}
        return any(
            client in waiting or _has_unsent(handler, client)
            for client in self._clients
            if (handler := server.connections.get(client.id))
        )


def _has_unsent(handler: ConnectionHandler, client: Client) -> bool:
    """Whether the client has yet to take some of what was written for it."""
    io = handler.transports.get(client)
    writer = io and io.writer
    return isinstance(writer, asyncio.StreamWriter) and (
        writer.transport.get_write_buffer_size() > 0
    )

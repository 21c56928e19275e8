"""Turns a bug in a hook into an error response or a closed connection: nothing is forwarded."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.exchange.http_responses import json_reply
from backends.errors import INTERRUPTS, ApiError

logger = logging.getLogger(__name__)


def fail_closed[**P, R](hook: Callable[P, R]) -> Callable[P, R]:
    """Decorate a hook whose last argument is a flow, an upstream connection, or a layer decision.

    Hooks handle ApiError themselves; any other exception is a bug. mitmproxy would log it and
    forward the flow to the original host with the client's credentials. Here the client gets a 500
    in OpenAI's shape, or its connection is closed if there is no flow yet.
    """
    if inspect.iscoroutinefunction(hook):

        @functools.wraps(hook)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await hook(*args, **kwargs)
            except INTERRUPTS:
                raise
            except BaseException:
                _refuse(args[-1], hook.__name__)

        return guarded_async  # type: ignore[return-value]  # same signature as the hook

    @functools.wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return hook(*args, **kwargs)
        except INTERRUPTS:
            raise
        except BaseException:
            _refuse(args[-1], hook.__name__)

    return guarded


class Closed(layer.Layer):
    """Closes the client's connection."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


def forbid(data: ServerConnectionHookData, reason: str) -> None:
    """Close an upstream connection that is being made, or has just been made."""
    data.server.error = reason
    handler = ctx.master.addons.get("proxyserver").connections.get(data.client.id)
    io = handler and handler.transports.get(data.server)
    if io and io.writer:
        io.writer.close()


def _refuse(
    subject: http.HTTPFlow | ServerConnectionHookData | layer.NextLayer, where: str
) -> None:
    """Respond with an internal error, or forbid the connection."""
    logger.exception("Internal error in hook %s; the request was not forwarded", where)
    if isinstance(subject, ServerConnectionHookData):
        forbid(subject, "internal error of the proxy")
    elif isinstance(subject, layer.NextLayer):
        subject.layer = Closed(subject.context)
    else:
        message = f"Internal error of the proxy in '{where}'; see its log for the cause"
        error = ApiError(500, message)
        subject.response = json_reply(error.status, error.body())
        subject.marked = ":bug:"

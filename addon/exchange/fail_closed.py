"""Fail closed: a bug in one of our hooks ends in an error answer, never in a forwarded request."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.exchange.http_responses import json_reply
from backends.errors import ApiError

logger = logging.getLogger(__name__)


def fail_closed[**P, R](hook: Callable[P, R]) -> Callable[P, R]:
    """Decorate a hook whose last argument is a flow, an upstream connection, or a layer's choice.

    ApiError is an answer and is passed on by the hooks themselves; whatever else comes out of a
    hook is a bug. mitmproxy would log it and let the flow go on as it is, to the original host and
    with the client's credentials. Here the client gets a 500 in OpenAI's shape instead, and where
    there is no flow yet its connection is closed.
    """
    if inspect.iscoroutinefunction(hook):

        @functools.wraps(hook)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await hook(*args, **kwargs)
            except Exception:
                _refuse(args[-1], hook.__name__)

        return guarded_async  # type: ignore[return-value]  # same signature as the hook

    @functools.wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return hook(*args, **kwargs)
        except Exception:
            _refuse(args[-1], hook.__name__)

    return guarded


class Closed(layer.Layer):
    """Ends the client's connection."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


def forbid(data: ServerConnectionHookData, reason: str) -> None:
    """Let no byte go out over a connection that is about to be made, or has just been made."""
    data.server.error = reason
    handler = ctx.master.addons.get("proxyserver").connections.get(data.client.id)
    io = handler and handler.transports.get(data.server)
    if io and io.writer:
        io.writer.close()


def _refuse(
    subject: http.HTTPFlow | ServerConnectionHookData | layer.NextLayer, where: str
) -> None:
    """Answer the flow with an internal error, or forbid the connection."""
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

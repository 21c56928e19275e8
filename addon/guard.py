"""Fail closed: a bug in one of our hooks ends in an error answer, never in a forwarded request."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.answers import json_reply
from backends.errors import ApiError

logger = logging.getLogger(__name__)


def fail_closed[**P, R](hook: Callable[P, R]) -> Callable[P, R]:
    """Decorate a hook whose last argument is an HTTP flow, or a connection about to be made.

    ApiError is an answer and is passed on by the hooks themselves; whatever else comes out of a
    hook is a bug. mitmproxy would log it and let the flow go on as it is, to the original host and
    with the client's credentials. Here the client gets a 500 in OpenAI's shape instead.
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


def _refuse(subject: http.HTTPFlow | ServerConnectionHookData, where: str) -> None:
    """Replace whatever the flow holds by an internal error, or forbid the connection."""
    logger.exception("Internal error in hook %s; the request was not forwarded", where)
    if isinstance(subject, ServerConnectionHookData):
        subject.server.error = "internal error of the proxy"
        return
    error = ApiError(500, f"Internal error of the proxy in '{where}'; see its log for the cause")
    subject.response = json_reply(error.status, error.body())
    subject.marked = ":bug:"

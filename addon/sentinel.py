"""Fail closed while the script is away: what is left of us when mitmproxy unloads it.

mitmproxy takes a script out before it loads it anew, and goes on without it if that fails or the
file is gone. Its port and the TLS that it opens stay: it would send prompts to the original host.
"""

import os

from mitmproxy import ctx, http
from mitmproxy.addonmanager import traverse
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.exchange.fail_closed import fail_closed, forbid
from addon.exchange.http_responses import json_reply
from addon.program import startup
from addon.proxy import LlmProxy
from backends.errors import ApiError

AWAY = "The proxy's script is not loaded; see mitmproxy's log for the cause"


class Sentinel:
    """While there is no LlmProxy it answers each request, and lets nobody connect anywhere.

    mitmproxy does not look again for a file that was gone, so each request does.
    """

    name = "llm_proxy_sentinel"

    def __init__(self, script: str) -> None:
        self._script = script

    @fail_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if _is_there():
            return
        error = ApiError(503, AWAY, code="script_not_loaded", headers=[("retry-after", "2")])
        flow.response = json_reply(error.status, error.body(), error.headers)
        loaded = ctx.options.scripts
        if self._script not in loaded and os.path.isfile(_path(self._script)):
            ctx.options.update(scripts=[*loaded, self._script])

    http_connect = request = requestheaders

    @fail_closed
    def server_connect(self, data: ServerConnectionHookData) -> None:
        if not _is_there():
            forbid(data, AWAY)


def post(path: str) -> None:
    """Leave a sentinel beside the script at `path`, where reloading does not reach it."""
    if ctx.master.addons.get(Sentinel.name) is None:
        script = next(each for each in ctx.options.scripts if _path(each) == path)
        startup.add_to(ctx.master, Sentinel(script))


def _path(script: str) -> str:
    return os.path.expanduser(script.strip("'\" "))  # as mitmproxy reads it


def _is_there() -> bool:
    chain = ctx.master.addons.chain
    return any(getattr(each, "name", None) == LlmProxy.name for each in traverse(chain))

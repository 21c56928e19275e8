"""Fails closed while mitmproxy has unloaded the proxy's script.

mitmproxy removes a script before it reloads it, and continues without it if that fails or the file
is gone. mitmproxy still listens and decrypts TLS, so prompts would go to the original host.
"""

import os

from mitmproxy import ctx, http
from mitmproxy.addonmanager import traverse
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.exchange.credentials import ClientCredentials
from addon.exchange.fail_closed import fail_closed, forbid
from addon.exchange.http_responses import json_reply
from addon.program import startup
from addon.proxy import LlmProxy
from backends.errors import ApiError

NOT_LOADED = "The proxy's script is not loaded; see mitmproxy's log for the cause"


class Sentinel:
    """Refuses requests and upstream connections while no LlmProxy is registered.

    mitmproxy never looks again for a file that was missing, so each request does.
    """

    name = "llm_proxy_sentinel"

    def __init__(self, script: str) -> None:
        self._script = script

    @fail_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if _is_loaded():
            return
        ClientCredentials.take(flow.request)
        error = ApiError(503, NOT_LOADED, code="script_not_loaded", headers=[("retry-after", "2")])
        flow.response = json_reply(error.status, error.body(), error.headers)
        loaded = ctx.options.scripts
        if self._script not in loaded and os.path.isfile(_path(self._script)):
            ctx.options.update(scripts=[*loaded, self._script])

    http_connect = request = requestheaders

    @fail_closed
    def server_connect(self, data: ServerConnectionHookData) -> None:
        if not _is_loaded():
            forbid(data, NOT_LOADED)


def post(path: str) -> None:
    """Register a sentinel next to the script at `path`, where reloading does not remove it."""
    if ctx.master.addons.get(Sentinel.name) is None:
        script = next(each for each in ctx.options.scripts if _path(each) == path)
        startup.add_to(ctx.master, Sentinel(script))


def _path(script: str) -> str:
    return os.path.expanduser(script.strip("'\" "))  # as mitmproxy reads it


def _is_loaded() -> bool:
    chain = ctx.master.addons.chain
    return any(getattr(each, "name", None) == LlmProxy.name for each in traverse(chain))

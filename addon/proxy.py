"""The addon: mitmproxy's hooks, each a few lines that call the rooms."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Set
from contextlib import nullcontext
from itertools import chain

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.utils import asyncio_utils

from addon.assembly import local_upstream, make_deps
from addon.cassettes.files import Recorder
from addon.demo import start
from addon.endpoints.access import Access
from addon.endpoints.admission import Admission
from addon.endpoints.chat import ChatEndpoint
from addon.endpoints.handlers import Handlers
from addon.exchange import flow_record
from addon.exchange.credentials import ClientCredentials
from addon.exchange.exchange import Exchange
from addon.exchange.fail_closed import fail_closed, forbid
from addon.exchange.history import error_of
from addon.exchange.http_responses import ResponseBuilder
from addon.inspect import annotate, progress, views
from addon.inspect.mitmweb import FlowLimit, WebStyle
from addon.inspect.reask import Reask
from addon.inspect.ui_commands import UiCommands
from addon.layers import fallback
from addon.layers.deps import LayerDeps
from addon.layers.pool import Pool
from addon.program import logs, shutdown, startup
from addon.program.product import VERSION, local_url
from addon.program.shutdown import GracefulShutdown
from backends.errors import ApiError
from backends.keys import Key
from backends.redact import Redactor
from commands.config.model import Config

logger = logging.getLogger(__name__)

NO_LAYERS = "Failover and timeouts are disabled"


class LlmProxy:
    """Claims LLM requests, routes them to an upstream, and serves the proxy's own endpoints.

    `incompatibility` says why this mitmproxy cannot run our layers; then failover is off.
    `warning` is logged when the proxy starts.
    """

    name = "llm_proxy"

    def __init__(
        self, settings: Config, incompatibility: str | None = None, warning: str | None = None
    ) -> None:
        self._settings = settings
        self._incompatibility = incompatibility
        self._warning = warning
        client_key = settings.client_key or Key("generated", secrets.token_urlsafe(24))
        self._client_key = None if settings.disable_auth else client_key
        upstream_keys = chain.from_iterable(settings.api_keys.values())
        self._redactor = redactor = Redactor((*upstream_keys, client_key))
        logs.keep_secrets_out(redactor)
        self._log = logs.LogFile(settings.log) if settings.log else None
        self._responses = ResponseBuilder(redactor, settings.max_body_mib * 2**20)
        self._access = Access(self._client_key)
        self._deps = deps = make_deps(settings, redactor)
        self._chat = ChatEndpoint(deps)
        self._handlers = Handlers(deps, self._chat, VERSION, self._client_key)
        self._reask = Reask(deps.sessions, self._client_key)
        self.addons = [
            UiCommands(self._chat, deps.sessions, self._reask, redactor.scrub),
            FlowLimit(settings.max_flows),
            WebStyle(),
        ]
        self._exchanges: dict[str, Exchange] = {}
        self._passing: dict[str, ClientCredentials] = {}
        self._layer_deps = self._make_layer_deps(settings)
        self._local_upstream = local_upstream(settings)
        self._recorder = Recorder(settings.record) if settings.record else None
        self._running: asyncio.Task[None] | None = None
        self._shutdown = GracefulShutdown(settings.stop_timeout)
        self._admission = Admission(settings, self._access, self._shutdown.track)

    def _make_layer_deps(self, settings: Config) -> LayerDeps:
        return LayerDeps(
            exchange_of=self._exchanges.get,
            credentials_of=self._passing.get,
            responses=self._responses,
            on_progress=progress.refresh,
            pool=Pool(),
            connect_timeout_s=settings.connect_timeout,
            read_timeout_s=settings.timeout,
            keepalive_s=settings.keep_alive,
            max_body_bytes=settings.max_body_mib * 2**20,
            max_connections=settings.max_connections,
        )

    # Life of the addon

    def load(self, loader: Loader) -> None:
        startup.set_options(self._settings)
        views.register(self._redactor.scrub)
        if self._log:
            logging.getLogger().addHandler(self._log)

    def configure(self, updated: Set[str]) -> None:
        if "confdir" in updated:
            startup.check_ca()
        self._admission.keeps_flows = self._recorder is not None or startup.keeps_flows()
        listed_only = startup.opens_listed_only(self._settings)
        self._admission.decrypts_listed_only = listed_only
        is_exposed = startup.is_exposed(self._client_key, self._running is not None)
        self._access.is_exposed = self._deps.proxy_state.is_exposed = is_exposed

    def running(self) -> None:
        self.configure(set())
        startup.check_ca()
        shutdown.end_on_hangup()
        self._running = asyncio_utils.create_task(self._run(), name="llm-proxy", keep_ref=True)

    def done(self) -> Awaitable[None] | None:
        return self._shutdown.finish(self._close)

    def _close(self) -> None:
        if self._running:
            self._running.cancel()
        self._layer_deps.pool.close()
        if self._log:
            logging.getLogger().removeHandler(self._log)
            self._log.close()

    async def _run(self) -> None:
        """From start to shutdown, which cancels it."""
        deps = self._deps
        async with self._local_upstream or nullcontext(deps.configured) as configured:
            deps.configured = configured
            deps.models.set_sources(configured.with_first_key())
            self._access.upstreams = configured.addresses()
            address = await startup.start(
                self._settings,
                configured,
                self._client_key,
                default_backend=deps.proxy_state.settings.default_backend,
                warnings=[
                    self._warning,
                    self._incompatibility and f"{NO_LAYERS}: {self._incompatibility}",
                ],
                hint=start.hint if self._settings.is_demo else None,
            )
            self._reask.base_url = local_url(*address[:2])
            await deps.models.list_all()
            await asyncio.Event().wait()

    # Connections

    @fail_closed
    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        ctx.master.addons.get("nextlayer").next_layer(nextlayer)
        if not self._incompatibility:
            from addon.layers import http_layer  # which might not even load

            http_layer.install(nextlayer, self._layer_deps)

    @fail_closed
    def http_connect(self, flow: http.HTTPFlow) -> None:
        credentials = ClientCredentials.take(flow.request)
        try:
            self._access.check_proxy_use(flow.client_conn, credentials)
        except ApiError as error:
            flow.response = self._responses.error(error)

    @fail_closed
    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.address and not data.server.error:
            data.server.error = await self._access.destination_error(*data.server.address[:2])

    @fail_closed
    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        if reason := self._access.connection_error(data.server):
            forbid(data, reason)

    # Requests

    @fail_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not flow.live:  # loaded from a file: no client waits
            flow_record.restore(flow)
            return
        decision = self._admission.decide(flow, ClientCredentials.take(flow.request))
        exchange, error = decision.exchange, decision.error
        if exchange:
            self._exchanges[flow.id] = exchange
            exchange.outcome.error = error
        if response := self._responses.error(error, exchange) if error else decision.response:
            flow.response = response
        if credentials := decision.credentials:
            self._passing[flow.id] = credentials
            if not self._has_layers(flow):
                credentials.restore(flow.request)

    @fail_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.get(flow.id)
        if exchange is None or not exchange.endpoint or flow.response:
            return
        handler = self._handlers.table[exchange.endpoint]
        try:
            flow.response = await handler(flow, exchange)
        except ApiError as error:
            exchange.outcome.error = error
            flow.response = self._responses.error(error, exchange)
        annotate.begin(flow, exchange)
        if self._incompatibility:
            fallback.add_credential(flow, exchange)

    # Responses

    @fail_closed
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = self._exchanges.get(flow.id), flow.response
        assert response
        if response.raw_content is not None or not flow.live:
            return  # the proxy's own response, or one from a file
        if exchange is None:
            response.stream = True
            credentials = self._passing.get(flow.id)
            if credentials and self._has_layers(flow):
                credentials.take_response(response)
            return
        self._responses.stream(flow, exchange)

    @fail_closed
    def response(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.pop(flow.id, None)
        self._forget_credentials(flow)
        if exchange is None or flow.response is None:
            return
        if self._incompatibility:
            fallback.hide_credential(flow, exchange)
            fallback.read_complete(flow, exchange, self._responses)
        self._responses.finish_headers(flow.response, exchange)
        if flow.request.method == "HEAD":
            flow.response.content = b""
        if exchange.upstream and (error := exchange.outcome.error):
            logger.warning("%s: %d %s", exchange.upstream.target, error.status, error.message)
        self._finish(flow, exchange)
        if self._recorder and exchange.upstream:
            self._recorder.add(flow)

    @fail_closed
    def error(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.pop(flow.id, None)
        self._forget_credentials(flow)
        if exchange:
            fallback.hide_credential(flow, exchange)
            exchange.outcome.error = ApiError(499, str(flow.error))
            self._finish(flow, exchange)

    def _has_layers(self, flow: http.HTTPFlow) -> bool:
        """Our layers send the request and its response. mitmproxy replays without them."""
        return not (self._incompatibility or flow.is_replay)

    def _forget_credentials(self, flow: http.HTTPFlow) -> None:
        if self._passing.pop(flow.id, None) and not self._has_layers(flow):
            fallback.hide_credentials(flow)

    def _finish(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Record a claimed flow, once its outcome is known."""
        entry = self._chat.record(exchange)
        error = error_of(exchange, self._redactor.scrub)
        annotate.finish(flow, exchange, entry, error, self._redactor.scrub_bytes)

"""The addon: mitmproxy's hooks, each a few lines that call the rooms beside."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Set
from itertools import chain

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader
from mitmproxy.hooks import UpdateHook
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.utils import asyncio_utils

from addon.assembly import VERSION, make_chat, stand_in
from addon.cassettes.files import Recorder
from addon.demo import start
from addon.endpoints import access, table
from addon.endpoints.access import Access
from addon.endpoints.browsers import PREFLIGHT_FIELDS, Browsers
from addon.endpoints.handlers import Handlers
from addon.endpoints.model_catalog import ModelsList
from addon.endpoints.table import Claim, Place
from addon.exchange import flow_record
from addon.exchange.exchange import Exchange, Upstream
from addon.exchange.fail_closed import fail_closed, forbid
from addon.exchange.history import error_of
from addon.exchange.http_responses import (
    BodyStream,
    ResponseBuilder,
    add_fields,
    kept_fields,
    stream_head,
)
from addon.inspect import annotate, views
from addon.inspect.flow_limit import FlowLimit
from addon.inspect.reask import Reask
from addon.inspect.ui_commands import UiCommands
from addon.inspect.web_style import WebStyle
from addon.layers import fallback
from addon.layers.deps import LayerDeps
from addon.layers.pool import Pool
from addon.program import logs, startup
from addon.program.shutdown import Stopping
from backends.backend import Headers
from backends.errors import ApiError, bad_request
from backends.keys import Key
from backends.redact import Redactor
from backends.stream import Pipe
from commands.config.model import Config

logger = logging.getLogger(__name__)


class LlmProxy:
    """Claims LLM requests, routes them to an upstream, answers the rest of what is ours.

    `incompatibility` says why this mitmproxy cannot run our layers, if so; then failover is off.
    `warning` is logged when the proxy starts.
    """

    name = "llm_proxy"
    _keeps_flows = False  # this and the next are known as soon as options are
    _opens_listed_only = True

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
        self._responses = ResponseBuilder(redactor)
        self._access = Access(self._client_key)
        self._browsers = Browsers.of(settings)
        self._models = ModelsList(settings.models_max_age)
        self._chat = make_chat(settings, self._models, redactor)
        self._handlers = Handlers(self._chat, self._models, VERSION, self._client_key)
        self._reask = Reask(self._chat.sessions, self._client_key)
        self.addons = [
            UiCommands(self._chat, self._reask),
            FlowLimit(settings.max_flows),
            WebStyle(),
        ]
        self._exchanges: dict[str, Exchange] = {}
        self._layer_deps = LayerDeps(
            exchange_of=self._exchanges.get,
            responses=self._responses,
            stream_head=self._stream_head,
            on_progress=self._show,
            pool=Pool(),
            connect_timeout_s=settings.connect_timeout,
            read_timeout_s=settings.timeout,
            keepalive_s=settings.keep_alive,
            max_body_bytes=settings.max_body_mib * 2**20,
            max_connections=settings.max_connections,
        )
        self._stand_in = stand_in(settings)
        self._recorder = Recorder(settings.record) if settings.record else None
        self._running: asyncio.Task[None] | None = None
        self._stopping = Stopping(settings.stop_timeout)

    # Life of the addon

    def load(self, loader: Loader) -> None:
        startup.set_options(self._settings)
        views.register()
        if self._settings.log:
            logs.write_to(self._settings.log)

    def configure(self, updated: Set[str]) -> None:
        self._keeps_flows = self._recorder is not None or startup.keeps_flows()
        self._opens_listed_only = startup.opens_listed_only(self._settings)
        is_exposed = startup.is_exposed(self._client_key, self._running is not None)
        self._access.is_exposed = self._chat.proxy_state.is_exposed = is_exposed

    def running(self) -> None:
        self.configure(set())
        self._running = asyncio_utils.create_task(self._run(), name="llm-proxy", keep_ref=True)

    def done(self) -> Awaitable[None] | None:
        return self._stopping.end(self._close)

    def _close(self) -> None:
        if self._running:
            self._running.cancel()
        self._layer_deps.pool.close()

    async def _run(self) -> None:
        """From start to shutdown, when it is cancelled."""
        if self._stand_in:
            async with self._stand_in as upstreams:
                self._chat.upstreams = upstreams
                await self._start()
                await asyncio.Event().wait()
        else:
            await self._start()

    async def _start(self) -> None:
        addresses = await startup.listen()
        upstreams = self._chat.upstreams
        self._access.upstreams = upstreams.addresses()
        self._models.use(upstreams.with_first_key())
        if self._warning:
            logger.warning("%s", self._warning)
        if self._incompatibility:
            logger.warning("Failover and timeouts are disabled: %s", self._incompatibility)
        self._reask.base_url = startup.local_url(addresses[0])
        hint = start.hint if self._settings.is_demo else None
        startup.announce(addresses[0], self._settings, upstreams, self._client_key, hint)
        await self._models.all()

    # Connections

    @fail_closed
    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        ctx.master.addons.get("nextlayer").next_layer(nextlayer)
        if not self._incompatibility:
            from addon.layers import http_layer  # which might not even load

            http_layer.install(nextlayer, self._layer_deps)

    @fail_closed
    def http_connect(self, flow: http.HTTPFlow) -> None:
        try:
            self._access.check_proxy_use(flow)
        except ApiError as error:
            flow.response = self._responses.error(error)
        access.drop_credentials(flow.request)

    @fail_closed
    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.address and not data.server.error:
            data.server.error = await self._access.refused_destination(*data.server.address[:2])

    @fail_closed
    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        if reason := self._access.refused_connection(data.server):
            forbid(data, reason)

    # Requests

    @fail_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not flow.live:  # loaded from a file: nobody is to be answered
            flow_record.restore(flow)
            return
        place = self._place_of(flow)
        claim = table.match(flow.request.path, place)
        try:
            access.check_host(flow.request)
            if flow.is_replay and (claim or flow_record.ENDPOINT in flow.metadata):
                # mitmproxy does it without our layers, and the request is in the upstream's form.
                raise bad_request("LLM requests cannot be replayed; use llm.reask FLOW MODEL")
            if claim or place is Place.OURSELVES:
                self._admit(flow, claim, place)
            else:
                self._pass_through(flow, place)
        except ApiError as error:
            exchange = self._exchanges.get(flow.id)
            if exchange:
                exchange.outcome.error = error
            flow.response = self._responses.error(error, exchange)
        finally:
            if flow.id in self._exchanges or flow.response:
                access.drop_credentials(flow.request)

    def _place_of(self, flow: http.HTTPFlow) -> Place:
        if access.is_own_address(flow):
            return Place.OURSELVES
        hosts = (flow.request.host, flow.request.pretty_host, flow.client_conn.sni)
        return table.place(hosts, self._settings.intercept_hosts)

    def _admit(self, flow: http.HTTPFlow, claim: Claim | None, place: Place) -> None:
        """Take on a request that is ours; ApiError is its answer if it may not be served."""
        request = flow.request
        headers, reply_fields = access.client_headers(request), [("x-request-id", flow.id)]
        given = dict(headers)
        exchange = Exchange("", "", headers, reply_fields, self._keeps_flows)
        if claim:
            exchange.endpoint, exchange.model_id = claim.endpoint.name, claim.argument
            exchange.dialect = claim.endpoint.dialect
        self._exchanges[flow.id] = exchange
        self._stopping.admit(flow)
        if given.get("connection", "").lower() == "close":
            exchange.reply_fields.append(("connection", "close"))
        is_to_us = place is Place.OURSELVES
        host = request.host_header
        if origin := self._browsers.check(request.scheme, host, given, is_to_us=is_to_us):
            exchange.reply_fields += [("access-control-allow-origin", origin), ("vary", "origin")]
        if claim is None:
            raise ApiError(404, f"Invalid URL ({request.method} {request.path})")
        if request.method == "OPTIONS" and origin:
            flow.response = http.Response.make(204, b"", PREFLIGHT_FIELDS)
            return
        if claim.endpoint.needs_key:
            self._access.check_client_key(flow)
        if given.get("upgrade", "").lower() == "websocket":
            # With any other status Codex tries again, or gives up (seen with Codex 0.169).
            raise ApiError(426, "WebSockets are not supported; use HTTP")
        if request.method not in claim.endpoint.methods:
            allowed = ", ".join(claim.endpoint.methods)
            raise ApiError(
                405,
                f"Method {request.method} is not allowed for {request.path}; use {allowed}",
                headers=[("allow", allowed)],
            )
        if int(given.get("content-length", 0)) > self._layer_deps.max_body_bytes:
            raise self._layer_deps.too_large()

    def _pass_through(self, flow: http.HTTPFlow, place: Place) -> None:
        """Let a request go where the client sent it, as the client sent it."""
        if place is Place.ELSEWHERE and self._opens_listed_only and access.is_decrypted(flow):
            raise ApiError(502, f"{flow.request.host} is not in intercept_hosts, yet was decrypted")
        self._access.check_proxy_use(flow)
        self._access.forget_own_key(flow.request)
        flow.request.stream = True
        if place is Place.LLM_HOST:
            flow.comment = "not an LLM endpoint: passed through to the original host"

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

    # Answers

    @fail_closed
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = self._exchanges.get(flow.id), flow.response
        assert response
        if response.raw_content is not None or not flow.live:
            return  # our own answer, or one from a file
        if exchange is None:
            response.stream = True
            return
        if exchange.upstream and exchange.pipe and response.status_code == 200:
            self._stream(flow, response, exchange.upstream, exchange.pipe)

    def _stream(
        self, flow: http.HTTPFlow, response: http.Response, upstream: Upstream, pipe: Pipe
    ) -> None:
        """Send the answer on piece by piece, if it is the stream that the client asked for."""
        content_type = response.headers.get("content-type", "").lower()
        if not content_type.startswith("text/event-stream"):
            return
        fields = [*_reply_fields(self._exchanges[flow.id]), *kept_fields(response)]
        coding = response.headers.get("content-encoding", "")
        flow.response = stream_head(flow, fields)
        flow.response.timestamp_start = response.timestamp_start
        flow.response.stream = BodyStream(
            self._exchanges[flow.id], pipe, coding, upstream.title, self._responses.error_event
        )

    def _stream_head(self, flow: http.HTTPFlow) -> http.Response:
        """For a stream that begins before its upstream has answered."""
        return stream_head(flow, self._exchanges[flow.id].reply_fields)

    def _show(self, flow: http.HTTPFlow, sent: bytearray) -> None:
        """Let those who look on see how far a running answer is."""
        exchange = self._exchanges.get(flow.id)
        if exchange and exchange.prompt and startup.shows_flows():
            annotate.progress(flow, exchange, time.monotonic() - exchange.prompt.started)
            if sent and flow.response:
                flow.response.data.content = bytes(sent)
            told = ctx.master.addons.trigger_event(UpdateHook([flow]))
            asyncio_utils.create_task(told, name="llm-proxy progress", keep_ref=True)

    @fail_closed
    def response(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.pop(flow.id, None)
        if exchange is None and flow.live:
            access.hide_credentials(flow)
        if exchange is None or flow.response is None:
            return
        if self._incompatibility:
            fallback.hide_credential(flow, exchange)
            fallback.read_complete(flow, exchange, self._responses)
        add_fields(flow.response, _reply_fields(exchange))
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
        if exchange:
            fallback.hide_credential(flow, exchange)
            exchange.outcome.error = ApiError(499, str(flow.error))
            self._finish(flow, exchange)
        elif flow.live:
            access.hide_credentials(flow)

    def _finish(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Once for each flow of ours, when its outcome is known."""
        entry = self._chat.record(exchange)
        error = error_of(exchange, self._redactor.scrub)
        annotate.finish(flow, exchange, entry, error, self._redactor.scrub_bytes)


def _reply_fields(exchange: Exchange) -> Headers:
    """What goes onto every answer, and for scripts how it came about."""
    served = exchange.upstream
    if served is None:
        return exchange.reply_fields
    attempts = exchange.attempts.made if exchange.attempts else 1
    told = [
        ("x-llm-proxy-backend", served.target.backend),
        ("x-llm-proxy-model", served.target.model),
        ("x-llm-proxy-attempts", str(attempts)),
    ]
    request = exchange.client_request
    warnings = [*(request.warnings if request else ()), *served.call.warnings]
    if warnings:
        told.append(("x-proxy-warnings", ", ".join(warnings)))
    return [*exchange.reply_fields, *told]

"""Decides what becomes of a request: claimed, refused, or passed through to its host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mitmproxy import http

from addon.endpoints import access, table
from addon.endpoints.access import Access
from addon.endpoints.browsers import PREFLIGHT_FIELDS, Browsers
from addon.endpoints.table import HostKind, Match
from addon.exchange import flow_record, request_body
from addon.exchange.credentials import ClientCredentials, client_headers
from addon.exchange.exchange import Exchange
from backends.errors import ApiError, bad_request
from commands.config.model import Config


@dataclass(slots=True)
class Decision:
    """A request without `error` and `response` goes on: to its handler, or to its host."""

    exchange: Exchange | None = None
    """For every request that the proxy serves; None for one that passes through."""
    credentials: ClientCredentials | None = None
    """Those of a request that passes through, without the proxy's own."""
    error: ApiError | None = None
    response: http.Response | None = None
    """The whole response, if there is no more to do."""


class Admission:
    """Admits requests. `track` raises ApiError (503) if the proxy is shutting down."""

    def __init__(
        self, settings: Config, access: Access, track: Callable[[http.HTTPFlow], None]
    ) -> None:
        self._access = access
        self._browsers = Browsers.of(settings)
        self._track = track
        self._intercept_hosts = settings.intercept_hosts
        self._max_body_bytes = settings.max_body_mib * 2**20
        self.keeps_flows = False
        """Flows are shown or saved; known as soon as mitmproxy's options are."""
        self.decrypts_listed_only = True
        """No other host's TLS is decrypted; known as soon as mitmproxy's options are."""

    def decide(self, flow: http.HTTPFlow, credentials: ClientCredentials) -> Decision:
        """Called once for each request, when its headers are complete and `credentials` hidden."""
        kind = self.host_kind(flow)
        match = table.match(flow.request.path, kind)
        decision = Decision()
        try:
            access.check_host(flow.request)
            if flow.is_replay and (match or flow_record.ENDPOINT in flow.metadata):
                # mitmproxy replays without our layers, and the request has the upstream's form.
                raise bad_request("LLM requests cannot be replayed; use llm.reask FLOW MODEL")
            if match or kind is HostKind.PROXY:
                decision.exchange = self._new_exchange(flow, match)
                self._track(flow)
                decision.response = self._admit(flow, credentials, decision.exchange, match, kind)
            else:
                decision.credentials = self._pass_through(flow, credentials, kind)
        except ApiError as error:
            decision.error = error
        return decision

    def host_kind(self, flow: http.HTTPFlow) -> HostKind:
        """The kind of host that the client addresses, by any of its names."""
        if access.is_own_address(flow):
            return HostKind.PROXY
        hosts = (flow.request.host, flow.request.pretty_host, flow.client_conn.sni)
        return table.host_kind(hosts, self._intercept_hosts)

    def _new_exchange(self, flow: http.HTTPFlow, match: Match | None) -> Exchange:
        headers, fields = client_headers(flow.request), [("x-request-id", flow.id)]
        if dict(headers).get("connection", "").lower() == "close":
            fields.append(("connection", "close"))
        exchange = Exchange("", "", headers, fields, self.keeps_flows)
        if match:
            exchange.endpoint, exchange.model_id = match.endpoint.name, match.model_id
            exchange.dialect = match.endpoint.dialect
        return exchange

    def _admit(
        self,
        flow: http.HTTPFlow,
        credentials: ClientCredentials,
        exchange: Exchange,
        match: Match | None,
        kind: HostKind,
    ) -> http.Response | None:
        """Raises ApiError if the request may not be served."""
        request, headers = flow.request, dict(exchange.headers)
        origin = self._browsers.check(
            request.scheme, request.host_header, headers, is_to_us=kind is HostKind.PROXY
        )
        if origin:
            exchange.reply_headers += [("access-control-allow-origin", origin), ("vary", "origin")]
        if match is None:
            raise ApiError(404, f"Invalid URL ({request.method} {request.path})")
        if request.method == "OPTIONS" and origin:
            return http.Response.make(204, b"", PREFLIGHT_FIELDS)
        if match.endpoint.needs_key:
            self._access.check_client_key(flow.client_conn, credentials)
        check_request(request.method, request.path, headers, match)
        if int(headers.get("content-length", 0)) > self._max_body_bytes:
            raise request_body.too_large(self._max_body_bytes)
        return None

    def _pass_through(
        self, flow: http.HTTPFlow, credentials: ClientCredentials, kind: HostKind
    ) -> ClientCredentials:
        """Let the request go unchanged to the host that the client addressed."""
        if kind is HostKind.OTHER and self.decrypts_listed_only and access.is_decrypted(flow):
            raise ApiError(502, f"{flow.request.host} is not in intercept_hosts, yet was decrypted")
        self._access.check_proxy_use(flow.client_conn, credentials)
        others = self._access.strip_client_key(flow.request, credentials)
        flow.request.stream = True
        if kind is HostKind.LLM_HOST:
            flow.comment = "not an LLM endpoint: passed through to the original host"
        return others


def check_request(method: str, path: str, headers: Mapping[str, str], match: Match) -> None:
    """Raises ApiError if the endpoint does not support the request; header names in lower case."""
    if headers.get("upgrade", "").lower() == "websocket":
        # With any other status Codex retries or gives up (seen with Codex 0.169).
        raise ApiError(426, "WebSockets are not supported; use HTTP")
    if method not in match.endpoint.methods:
        allowed = ", ".join(match.endpoint.methods)
        raise ApiError(
            405,
            f"Method {method} is not allowed for {path}; use {allowed}",
            headers=[("allow", allowed)],
        )

"""The embeddings endpoint: one attempt, without session, commands and failover."""

from mitmproxy import http

from addon.endpoints.deps import EndpointDeps
from addon.exchange import request_body, upstream_request
from addon.exchange.exchange import Exchange, Upstream
from backends import openai_wire
from backends.backend import ModelRequest
from commands.routing.target import resolve


class EmbeddingsEndpoint:
    """What a session has set concerns chats only, so it plays no part here."""

    def __init__(self, deps: EndpointDeps) -> None:
        self._deps = deps

    async def __call__(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Send the request to an upstream. Raises ApiError."""
        deps = self._deps
        body = request_body.read(flow.request, deps.max_body_bytes)
        original = openai_wire.read_embeddings(body)
        request, _ = deps.redact(body, original, "")
        deps.capture(exchange, body, request, is_same=request is original)
        target = resolve(request.get("model"), deps.routing()).target
        deps.configured.check(target.backend)
        backend, key = deps.configured.with_first_key()[target.backend]
        same = body if request is original else None
        headers = deps.redact_headers(exchange.headers)
        prompt = ModelRequest(request, same, target.model or None, headers, "")
        call = backend.embed(prompt, key)
        exchange.upstream = Upstream(backend.title, target, key.name, call)
        upstream_request.set_upstream_request(flow, call.request, key.name)

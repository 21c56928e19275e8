"""What each endpoint does: one method a row of the table in `endpoints`."""

from collections.abc import Awaitable, Callable, Mapping

from mitmproxy import http

from addon.endpoints.chat import ChatEndpoint
from addon.endpoints.model_catalog import ModelsList
from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import json_reply
from backends.dialects.registry import DIALECTS
from backends.errors import ApiError
from backends.keys import Key
from commands.config.values import is_loopback

Handler = Callable[[http.HTTPFlow, Exchange], Awaitable[http.Response | None]]
"""Gives the answer, or None once the flow is on its way to an upstream. Raises ApiError."""


class Handlers:
    """`table` has a handler for each endpoint, by its name. `client_key` is what clients show."""

    def __init__(
        self, chat: ChatEndpoint, models: ModelsList, version: str, client_key: Key | None
    ) -> None:
        self._chat = chat
        self._models = models
        self._version = version
        self._client_key = client_key
        self.table: Mapping[str, Handler] = {
            "root": self._root,
            "health": self._health,
            "models": self._list_models,
            "model": self._show_model,
            "embeddings": chat.embed,
            "unsupported": self._refuse,
            **dict.fromkeys(DIALECTS, chat),
        }

    async def _root(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        about = {
            "name": "llm-interactive-proxy",
            "version": self._version,
            "base_url": f"{flow.request.scheme}://{flow.request.host_header}/v1",
        }
        nonce = flow.request.query.get("nonce")
        peer, own = flow.client_conn.peername[0], flow.client_conn.sockname[0]
        # Only to this machine: a stranger could try out at leisure which key gives such a proof.
        if nonce and self._client_key and (is_loopback(peer) or peer == own):
            about["proof"] = self._client_key.proof(nonce)
        return json_reply(200, about)

    async def _health(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        return json_reply(200, {"status": "ok"})

    async def _list_models(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        routes = [
            {"id": name, "object": "model", "created": 0, "owned_by": "failover-route"}
            for name in self._chat.route_names
        ]
        models = [*routes, *await self._models.all()]
        return json_reply(200, DIALECTS["chat"].models_list(models))

    async def _show_model(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        wanted = exchange.model_id
        model = await self._models.find(wanted, self._chat.default_backend)
        if model is None:
            raise ApiError(
                404, f"The model '{wanted}' does not exist", param="model", code="model_not_found"
            )
        return json_reply(200, model)

    async def _refuse(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        path = flow.request.path.partition("?")[0]
        raise ApiError(404, f"{path} is not supported by this proxy")

"""What each endpoint does: one method a row of the table in `endpoints`."""

from collections.abc import Awaitable, Callable, Mapping

from mitmproxy import http

from addon.answers import json_reply
from addon.chat import ChatEndpoint
from addon.exchange import Exchange
from addon.models_list import ModelsList
from backends.dialects.registry import DIALECTS
from backends.errors import ApiError

Handler = Callable[[http.HTTPFlow, Exchange], Awaitable[http.Response | None]]
"""Gives the answer, or None once the flow is on its way to an upstream. Raises ApiError."""


class Handlers:
    """`table` has a handler for each endpoint, by its name."""

    def __init__(self, chat: ChatEndpoint, models: ModelsList, version: str) -> None:
        self._chat = chat
        self._models = models
        self._version = version
        self.table: Mapping[str, Handler] = {
            "root": self._root,
            "health": self._health,
            "models": self._list_models,
            "model": self._show_model,
            "embeddings": chat.embed,
            **dict.fromkeys(DIALECTS, chat),
        }

    async def _root(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        return json_reply(
            200,
            {
                "name": "llm-interactive-proxy",
                "version": self._version,
                "base_url": f"{flow.request.scheme}://{flow.request.host_header}/v1",
            },
        )

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

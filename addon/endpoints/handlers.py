"""Serves the endpoints: one handler for each row of the table in `table`."""

from collections.abc import Awaitable, Callable, Mapping

from mitmproxy import http

from addon.endpoints.chat import ChatEndpoint
from addon.endpoints.deps import EndpointDeps
from addon.endpoints.embeddings import EmbeddingsEndpoint
from addon.endpoints.model_catalog import Model
from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import json_reply
from backends import openai_wire
from backends.dialects.registry import DIALECTS
from backends.errors import ApiError
from backends.keys import Key
from commands.config.values import is_loopback
from commands.routing import model_list
from commands.routing.target import resolve

Handler = Callable[[http.HTTPFlow, Exchange], Awaitable[http.Response | None]]
"""Returns the response, or None once the request goes to an upstream. Raises ApiError."""


class Handlers:
    """`table` maps the names of endpoints to their handlers."""

    def __init__(
        self, deps: EndpointDeps, chat: ChatEndpoint, version: str, client_key: Key | None
    ) -> None:
        self._deps = deps
        self._version = version
        self._client_key = client_key
        self.table: Mapping[str, Handler] = {
            "root": self._root,
            "health": self._health,
            "models": self._list_models,
            "model": self._show_model,
            "embeddings": EmbeddingsEndpoint(deps),
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
        # Only for this machine: others could use the proof to guess the key offline.
        if nonce and self._client_key and (is_loopback(peer) or peer == own):
            about["proof"] = self._client_key.proof(nonce)
        return json_reply(200, about)

    async def _health(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        return json_reply(200, {"status": "ok"})

    async def _list_models(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        models = [*self._own_names(), *await self._deps.models.list_all()]
        return json_reply(200, openai_wire.models_list(models))

    def _own_names(self) -> list[Model]:
        """The routes and aliases, as entries of the list of models."""
        names = dict.fromkeys(self._deps.proxy_state.names.aliases, "alias")
        names |= dict.fromkeys(self._deps.proxy_state.routes.by_name, "failover-route")
        return [
            {"id": name, "object": "model", "created": 0, "owned_by": owner}
            for name, owner in names.items()
        ]

    async def _show_model(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        """The entry of the name itself, else that of the model which a prompt would get."""
        name = exchange.model_id
        models = {each["id"]: each for each in await self._deps.models.list_all()}
        models |= {each["id"]: each for each in self._own_names()}
        model = models.get(name) or models.get(str(resolve(name, self._deps.routing()).target))
        if model is None:
            raise ApiError(
                404,
                f"The model '{name}' does not exist{model_list.nearest(name, [*models])}",
                param="model",
                code="model_not_found",
            )
        return json_reply(200, model)

    async def _refuse(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        path = flow.request.path.partition("?")[0]
        raise ApiError(404, f"{path} is not supported by this proxy")

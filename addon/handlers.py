"""What each endpoint does: one method a row of the table in `endpoints`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from mitmproxy import http

from addon import upstream
from addon.answers import Answers, json_reply
from addon.exchange import Exchange, Upstream
from addon.models_list import ModelsList
from addon.upstream import Upstreams
from backends import openai_wire
from backends.errors import ApiError, bad_request
from backends.protocol import Prompt
from backends.stream import Pipe
from commands import routing
from commands.routing import Wishes

Handler = Callable[[http.HTTPFlow, Exchange], Awaitable[http.Response | None]]
"""Gives the answer, or None once the flow is on its way to an upstream. Raises ApiError."""


class Handlers:
    """`upstreams` may be replaced while running (the demo's come up after the addon)."""

    def __init__(
        self,
        upstreams: Upstreams,
        models: ModelsList,
        answers: Answers,
        mapping: Mapping[str, Sequence[str]],
        version: str,
    ) -> None:
        self.upstreams = upstreams
        self._models = models
        self._answers = answers
        self._mapping = mapping
        self._version = version
        self.table: Mapping[str, Handler] = {
            "root": self._root,
            "health": self._health,
            "models": self._list_models,
            "model": self._show_model,
            "chat": self._chat,
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
        return json_reply(200, {"object": "list", "data": await self._models.all()})

    async def _show_model(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
        wanted = exchange.claim.argument if exchange.claim else ""
        model = await self._models.find(wanted, self.upstreams.default)
        if model is None:
            raise ApiError(
                404, f"The model '{wanted}' does not exist", param="model", code="model_not_found"
            )
        return json_reply(200, model)

    async def _chat(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        try:
            body = flow.request.get_content(strict=True) or b""
        except ValueError as error:
            coding = flow.request.headers.get("content-encoding")
            raise bad_request(f"The body is not valid {coding}: {error}") from None
        chat = openai_wire.read_chat(body)
        wishes = Wishes(self.upstreams.default, self.upstreams.keys.keys(), self._mapping)
        target = routing.resolve(chat.get("model"), wishes)
        backend, key = self.upstreams.pick(target.backend)
        prompt = Prompt(chat, body, target.name or None, exchange.headers, "default")
        call = backend.prepare(prompt, key)
        exchange.upstream = Upstream(backend.title, target, key.name, call)
        if openai_wire.is_stream(chat):
            write_error = self._answers.error_event
            exchange.pipe = Pipe(call.decoder(), exchange.outcome, write_error)
        upstream.put_into(flow, call.request, key.name)

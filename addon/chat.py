"""The chat endpoint: from a client's request to an upstream's, by way of session and commands."""

import functools
import logging
import time
from collections.abc import Mapping, Sequence

from mitmproxy import http

from addon import upstream
from addon.answers import Answers, json_reply, sse_reply
from addon.exchange import Exchange, Talk, Upstream
from addon.models_list import ModelsList
from addon.session_log import SessionLog
from addon.upstream import Upstreams
from backends import openai_wire
from backends.errors import ApiError, bad_request
from backends.model_id import BackendName, ModelId
from backends.notes import Note
from backends.openai_wire import Chat
from backends.protocol import Prompt
from backends.redact import Redactor
from backends.stream import Outcome, Pipe
from commands import agents, identity, routing
from commands.agents import Agent, ToolCall
from commands.desk import Desk, once_model
from commands.routing import Target, Wishes
from commands.session import Entry, Session, Sessions, clipped
from commands.settings import FunctionalBackend

logger = logging.getLogger(__name__)

OWN_ID = "proxy_cmd_processed"


class ChatEndpoint:
    """`upstreams` may be replaced while running: the demo's come up after the addon."""

    def __init__(
        self,
        upstreams: Upstreams,
        models: ModelsList,
        answers: Answers,
        desk: Desk,
        sessions: Sessions,
        redactor: Redactor,
        *,
        mapping: Mapping[str, Sequence[str]],
        is_project_required: bool,
        log: SessionLog | None,
    ) -> None:
        self.upstreams = upstreams
        self._models = models
        self._answers = answers
        self._desk = desk
        self._sessions = sessions
        self._redactor = redactor
        self._mapping = mapping
        self._is_project_required = is_project_required
        self._log = log

    @property
    def default_backend(self) -> BackendName:
        """Who serves what names no backend."""
        return self._desk.settings.default_backend

    async def __call__(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response | None:
        """Answer a message of commands alone, or send the prompt on its way. Raises ApiError."""
        body = _body_of(flow.request)
        original = openai_wire.read_chat(body)
        agent = agents.detect(exchange.headers, original)
        session = self._sessions.get(identity.session_id(exchange.headers, original, agent))
        turn = self._desk.take(original, session, agent, self._functional())
        chat, prompt = self._redacted(turn.chat, turn.prompt)
        exchange.talk = Talk(session, prompt, time.time(), time.monotonic())
        target = self._target(original, session)
        if turn.reply is not None:
            exchange.outcome.text = turn.reply
            exchange.talk.model = str(target)
            return _reply(chat, agent, turn.reply, target)
        if turn.note:
            exchange.note = Note(agents.fit_note(agent, turn.note))
        self._refuse_unfit(session)
        self._send(flow, exchange, target, chat, body if chat is original else None)
        return None

    def _redacted(self, chat: Chat, prompt: str) -> tuple[Chat, str]:
        """Without our keys, if that is wanted; a key that was found is told by its name."""
        if not self._desk.settings.redact_api_keys_in_prompts:
            return chat, prompt
        chat, names = self._redactor.scrub_chat(chat)
        if names:
            logger.warning("Redacted in a prompt: %s", ", ".join(names))
        return chat, self._redactor.scrub(prompt)

    def _functional(self) -> Mapping[BackendName, FunctionalBackend]:
        return {
            name: FunctionalBackend(len(keys), self._models.names(name))
            for name, keys in self.upstreams.keys.items()
        }

    def _target(self, chat: Chat, session: Session) -> Target:
        requested = chat.get("model")
        wishes = Wishes(
            self.default_backend,
            self.upstreams.keys.keys(),
            self._mapping,
            once=once_model(chat, session),
            model=session.settings.model,
            route=self._first_of_route(requested),
            backend=session.settings.backend,
        )
        return routing.resolve(requested, wishes)

    def _first_of_route(self, name: str | None) -> ModelId | None:
        """The first element of the route of this name that there is a key for."""
        route = self._desk.routes.by_name.get(name or "")
        elements = route.elements if route else ()
        return next((each for each in elements if each.backend in self.upstreams.keys), None)

    def _refuse_unfit(self, session: Session) -> None:
        """ApiError if the session's settings do not allow a prompt."""
        if session.settings.is_model_invalid:
            raise bad_request("invalid or unsupported model", "model")
        if self._is_project_required and session.settings.project is None:
            prefix = self._desk.settings.command_prefix
            raise bad_request(
                f"Project name not set. Use {prefix}set(project=<name>) before sending prompts."
            )

    def _send(
        self,
        flow: http.HTTPFlow,
        exchange: Exchange,
        target: Target,
        chat: Chat,
        body: bytes | None,
    ) -> None:
        assert exchange.talk
        backend, key = self.upstreams.pick(target.backend)
        session = exchange.talk.session
        prompt = Prompt(
            chat, body, target.name or None, exchange.headers, session.id, session.settings.project
        )
        call = backend.prepare(prompt, key)
        exchange.upstream = Upstream(backend.title, target, key.name, call)
        exchange.retry = functools.partial(self._retry, exchange)
        self._attempt(flow, exchange, openai_wire.is_stream(chat))

    def _attempt(self, flow: http.HTTPFlow, exchange: Exchange, is_stream: bool) -> None:
        """Put the call's request into the flow, and get ready for its answer."""
        assert exchange.upstream
        call = exchange.upstream.call
        exchange.outcome = Outcome()
        if is_stream:
            write_error = self._answers.error_event
            exchange.pipe = Pipe(call.decoder(), exchange.outcome, write_error, exchange.note)
        upstream.put_into(flow, call.request, exchange.upstream.key_name)

    def _retry(self, exchange: Exchange, flow: http.HTTPFlow, error: ApiError) -> bool:
        """Try the call in another form, if there is one; see `Exchange.retry`."""
        assert exchange.upstream
        assert exchange.talk
        call = exchange.upstream.call.amend(error)
        if call is None:
            return False
        exchange.talk.attempts.append(_attempt_of(exchange.upstream, f"{error.status} {error}"))
        exchange.upstream.call = call
        self._attempt(flow, exchange, exchange.pipe is not None)
        return True

    def record(self, exchange: Exchange) -> None:
        """Write the exchange into its session's history; a note without a place is kept for later.

        To be called once, when the flow is over.
        """
        talk, served, outcome = exchange.talk, exchange.upstream, exchange.outcome
        if talk is None:
            return
        if exchange.note and not exchange.note.is_placed:
            earlier = talk.session.note
            talk.session.note = "\n".join(filter(None, (exchange.note.text, earlier)))
        now = time.monotonic()
        error = f"{outcome.error.status} {outcome.error.message}" if outcome.error else None
        text = outcome.text or (exchange.pipe.text() if exchange.pipe else "")
        last = [_attempt_of(served, error or "ok")] if served else []
        entry = Entry(
            time=talk.time,
            handler="backend" if served else "proxy",
            prompt=clipped(talk.prompt),
            text=clipped(text),
            model=str(served.target) if served else talk.model,
            project=talk.session.settings.project,
            key_name=served.key_name if served else None,
            attempts=(*talk.attempts, *last),
            finish_reason=outcome.finish_reason,
            usage=outcome.usage,
            first_token_s=talk.first_token_at and talk.first_token_at - talk.started,
            total_s=now - talk.started,
            error=error,
        )
        talk.session.history.append(entry)
        if self._log:
            self._log.write(talk.session.id, entry)


def _body_of(request: http.Request) -> bytes:
    try:
        return request.get_content(strict=True) or b""
    except ValueError as error:
        coding = request.headers.get("content-encoding")
        raise bad_request(f"The body is not valid {coding}: {error}") from None


def _attempt_of(served: Upstream, result: str) -> str:
    """An attempt in words."""
    return f"{served.target} with {served.key_name} ({served.target.why}): {result}"


def _reply(chat: Chat, agent: Agent | None, text: str, target: Target) -> http.Response:
    """The proxy's own answer, whole or streamed, in the shape in which the agent shows it."""
    reply = agents.wrap_reply(agent, chat, text)
    message: dict[str, object] = {"role": "assistant", "content": reply}
    if isinstance(reply, ToolCall):
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [openai_wire.tool_call(f"call_{OWN_ID}", reply.name, reply.arguments)],
        }
    completion = openai_wire.completion_of(
        message, id=OWN_ID, model=str(target), created=int(time.time())
    )
    if not openai_wire.is_stream(chat):
        return json_reply(200, completion)
    if not openai_wire.wants_usage(chat):
        del completion["usage"]
    return sse_reply(openai_wire.stream_of(completion))

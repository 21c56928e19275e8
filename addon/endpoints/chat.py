"""The chat endpoint: from a client's request to an upstream's, by way of session and commands."""

import logging
import time
from collections.abc import Mapping, Sequence

from mitmproxy import http

from addon.endpoints.model_catalog import ModelsList
from addon.exchange import flow_record, request_body, upstream_request
from addon.exchange.attempts import AttemptDeps, AttemptRunner, Plan
from addon.exchange.exchange import Exchange, PromptContext, Upstream
from addon.exchange.history import SessionLog, entry_of
from addon.exchange.http_responses import encode, json_reply, sse_reply
from backends import jsonio, openai_wire
from backends.backend import ModelRequest
from backends.dialect import Reader
from backends.errors import bad_request
from backends.model_id import BackendName
from backends.notes import Note
from backends.openai_wire import Chat
from backends.redact import Redactor
from backends.vendors.registry import ConfiguredBackends
from commands.agents.table import Agent, ToolCall, detect, fit_note, wrap_reply
from commands.language.scanner import Argument
from commands.language.snapshot import Availability, ProxySnapshot
from commands.routing import failover
from commands.routing.cooldowns import Cooldowns
from commands.routing.target import RoutingInputs, Target, resolve
from commands.sessions.session import Entry, Session, Sessions
from commands.sessions.session_id import session_id
from commands.settings import AvailableBackend
from commands.turns.processor import CommandProcessor, once_model

logger = logging.getLogger(__name__)

OWN_ID = "proxy_cmd_processed"

# A model that the human has chosen goes before a route of the requested name.
OVERRIDES = frozenset({"once", "set(model)"})


class ChatEndpoint:
    """`upstreams` may be replaced while running: the demo's come up after the addon.

    `readers` read requests, by the endpoint that they come to.
    """

    def __init__(
        self,
        upstreams: ConfiguredBackends,
        models: ModelsList,
        processor: CommandProcessor,
        sessions: Sessions,
        redactor: Redactor,
        *,
        mapping: Mapping[str, Sequence[str]],
        is_project_required: bool,
        is_sticky: bool,
        read_timeout_s: Mapping[BackendName, float],
        max_body_bytes: int,
        readers: Mapping[str, Reader],
        log: SessionLog | None,
    ) -> None:
        self.upstreams = upstreams
        self._models = models
        self._commands = processor
        self.proxy_state = processor.proxy_state
        self.sessions = sessions
        self._redactor = redactor
        self._mapping = mapping
        self._is_project_required = is_project_required
        self._is_sticky = is_sticky
        self._read_timeout_s = read_timeout_s
        self._max_body_bytes = max_body_bytes
        self._readers = readers
        self._log = log
        self._cooldowns = Cooldowns()

    @property
    def default_backend(self) -> BackendName:
        """Who serves what names no backend."""
        return self.proxy_state.settings.default_backend

    @property
    def route_names(self) -> list[str]:
        """Failover routes can be asked for like models."""
        return list(self.proxy_state.routes.by_name)

    async def __call__(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response | None:
        """Answer a message of commands alone, or send the prompt on its way. Raises ApiError."""
        body = request_body.read(flow.request, self._max_body_bytes)
        exchange.client_request = request = self._readers[exchange.endpoint](body)
        original = request.chat
        if openai_wire.is_stream(original):
            exchange.encoder = request.encoder()
        agent = detect(exchange.headers, original)
        session = self.sessions.get(session_id(exchange.headers, original, agent))
        session.agent = agent.name if agent else None
        turn = self._commands.process(
            original, session, agent, self._availability(), request.typed_from
        )
        chat, prompt = self._redacted(request.body, turn.chat, turn.prompt)
        exchange.prompt = PromptContext(session, prompt, time.time(), time.monotonic())
        exchange.prompt.commands = [self._redactor.scrub(each) for each in turn.commands]
        self._keep(exchange, body, chat, is_same=chat is request.chat and request.body is not None)
        target = self._target(original, chat.get("model"), session)
        if turn.reply is not None:
            exchange.outcome.text = turn.reply
            exchange.prompt.model = str(target)
            return _reply(exchange, chat, agent, turn.reply, target)
        if turn.note and not self.upstreams.is_playback:
            exchange.note = Note(fit_note(agent, turn.note))
        self._refuse_unfit(session)
        plan = self._plan(chat.get("model"), target, session)
        self._send(flow, exchange, chat, request.body if chat is original else None, plan)
        return None

    def command(self, name: str, arguments: Sequence[Argument], session: Session) -> str:
        """Run a command of the chat that somebody else has given. Raises CommandError."""
        return self.proxy_state.run(name, arguments, session, self._availability())

    def snapshot(self) -> ProxySnapshot:
        return self.proxy_state.snapshot(self.sessions, self._availability())

    async def embed(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Send an embeddings request on its way; what a session has set is about chat only."""
        body = request_body.read(flow.request, self._max_body_bytes)
        original = openai_wire.read_embeddings(body)
        request, _ = self._redacted(body, original, "")
        self._keep(exchange, body, request, is_same=request is original)
        inputs = RoutingInputs(
            self.default_backend,
            self.upstreams.backends.keys(),
            self.upstreams.keys.keys(),
            self._mapping,
        )
        target = resolve(request.get("model"), inputs)
        self.upstreams.check(target.backend)
        backend, key = self.upstreams.with_first_key()[target.backend]
        same = body if request is original else None
        prompt = ModelRequest(request, same, target.model or None, exchange.headers, "")
        call = backend.embed(prompt, key)
        exchange.upstream = Upstream(backend.title, target, key.name, call)
        upstream_request.set_upstream_request(flow, call.request, key.name)

    def _redacted(self, body: bytes | None, chat: Chat, prompt: str) -> tuple[Chat, str]:
        """Without our keys, if that is wanted; a key that was found is told by its name.

        `body` is the text that all of `chat` was read from, if there is one.
        """
        is_wanted = self.proxy_state.settings.redact_api_keys_in_prompts
        if not is_wanted or (body is not None and not self._redactor.may_be_in(body)):
            return chat, prompt
        chat, names = self._redactor.scrub_chat(chat)
        if names:
            logger.warning("Redacted in a prompt: %s", ", ".join(names))
        return chat, self._redactor.scrub(prompt)

    def _keep(self, exchange: Exchange, body: bytes, chat: Chat, *, is_same: bool) -> None:
        """Keep what the client asked, if somebody will look at it, and `chat` if not the same."""
        exchange.requested = chat.get("model")
        if exchange.is_captured:
            is_redacting = self.proxy_state.settings.redact_api_keys_in_prompts
            clean = self._redactor.scrub_bytes(body) if is_redacting else body
            exchange.captures[flow_record.CLIENT_REQUEST] = clean
            if not is_same:
                exchange.captures[flow_record.PROMPT] = jsonio.encode(chat)

    def _availability(self) -> Availability:
        backends = {
            name: AvailableBackend(len(keys), self._models.names(name))
            for name, keys in self.upstreams.keys.items()
        }
        return Availability(backends, self._cooldowns.active(time.monotonic()))

    def _target(self, original: Chat, requested: str | None, session: Session) -> Target:
        """Who is asked, if it is not a route."""
        inputs = RoutingInputs(
            self.default_backend,
            self.upstreams.backends.keys(),
            self.upstreams.keys.keys(),
            self._mapping,
            once=once_model(original, session),
            model=session.settings.model,
            backend=session.settings.backend,
        )
        return resolve(requested, inputs)

    def _plan(self, requested: str | None, target: Target, session: Session) -> Plan:
        """The attempts for a prompt; ApiError if there are none."""
        route = self.proxy_state.routes.by_name.get(requested or "")
        if route and target.reason not in OVERRIDES:
            attempts = failover.plan(route, self.upstreams.keys)
            if not attempts:
                raise bad_request(f"Route {route.name} has no element with an API key", "model")
        else:
            route = None
            self.upstreams.check(target.backend)
            attempts = failover.plan_model(target.backend, target.model, self.upstreams.keys)
        settings, last = session.last_target or (None, None)
        if self._is_sticky and settings == session.settings and last in attempts:
            attempts.sort(key=lambda attempt: attempt != last)
        reason = f"route {route.name}" if route else target.reason
        return Plan(attempts, route is not None, reason)

    def _refuse_unfit(self, session: Session) -> None:
        """ApiError if the session's settings do not allow a prompt."""
        if session.settings.is_model_invalid:
            raise bad_request("invalid or unsupported model", "model")
        if self._is_project_required and session.settings.project is None:
            prefix = self.proxy_state.settings.command_prefix
            raise bad_request(
                f"Project name not set. Use {prefix}set(project=<name>) before sending prompts."
            )

    def _send(
        self, flow: http.HTTPFlow, exchange: Exchange, chat: Chat, body: bytes | None, plan: Plan
    ) -> None:
        assert exchange.prompt
        session = exchange.prompt.session
        project = session.settings.project
        prompt = ModelRequest(chat, body, None, exchange.headers, session.id, project)
        deps = AttemptDeps(
            self.upstreams.backends,
            self._cooldowns,
            self._read_timeout_s,
            2 * max(self._read_timeout_s.values()),
        )
        AttemptRunner(deps, exchange, prompt, plan).start(flow)

    def record(self, exchange: Exchange) -> Entry | None:
        """Write the exchange into its session's history; a note without a place is kept for later.

        To be called once, when the flow is over. None if it was no prompt.
        """
        prompt = exchange.prompt
        if prompt is None:
            return None
        if exchange.note and not exchange.note.is_placed:
            earlier = prompt.session.note
            prompt.session.note = "\n".join(filter(None, (exchange.note.text, earlier)))
        if exchange.attempts and not exchange.outcome.error:
            self._cooldowns.clear(exchange.attempts.current)
            prompt.session.last_target = (prompt.session.settings, exchange.attempts.current)
        entry = entry_of(exchange, prompt, self._redactor.scrub, time.monotonic())
        prompt.session.history.append(entry)
        if self._log:
            self._log.write(prompt.session.id, entry)
        return entry


def _reply(
    exchange: Exchange, chat: Chat, agent: Agent | None, text: str, target: Target
) -> http.Response:
    """The proxy's own answer, whole or streamed, in the shape in which the agent shows it."""
    reply = wrap_reply(agent, chat, text)
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
    if not exchange.encoder:
        assert exchange.client_request
        return json_reply(200, exchange.client_request.render(completion))
    if not openai_wire.wants_usage(chat):
        del completion["usage"]
    return sse_reply(encode(completion, exchange.encoder))

"""The chat endpoint: reads a prompt, runs its commands, and replies or starts the attempts."""

import time
from collections.abc import Sequence
from dataclasses import replace

from mitmproxy import http

from addon.endpoints.deps import EndpointDeps
from addon.exchange import request_body
from addon.exchange.attempts import AttemptDeps, AttemptRunner
from addon.exchange.exchange import Exchange, PromptContext
from addon.exchange.history import entry_of
from addon.exchange.http_responses import encode, json_reply, sse_reply
from backends import openai_wire
from backends.backend import ModelRequest
from backends.errors import ApiError
from backends.notes import Note
from backends.openai_wire import Chat
from commands.agents.table import Agent, ToolCall, detect, fit_note, wrap_reply
from commands.language.scanner import Argument
from commands.language.snapshot import Availability, ProxySnapshot
from commands.routing import planner
from commands.routing.cooldowns import Cooldowns
from commands.routing.planner import Plan, PlanInputs
from commands.routing.target import RoutingInputs, resolve
from commands.sessions.session import Entry, Session
from commands.sessions.session_id import session_id
from commands.turns.processor import once_model

OWN_ID = "proxy_cmd_processed"


class ChatEndpoint:
    """Serves prompts of every dialect."""

    def __init__(self, deps: EndpointDeps) -> None:
        self._deps = deps
        self._cooldowns = Cooldowns()

    async def __call__(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response | None:
        """Reply to a message of commands alone, or send the prompt upstream. Raises ApiError."""
        deps = self._deps
        body = request_body.read(flow.request, deps.max_body_bytes)
        exchange.client_request = request = deps.readers[exchange.endpoint](body)
        original = request.chat
        if openai_wire.is_stream(original):
            exchange.encoder = request.encoder()
        agent = detect(exchange.headers, original)
        session = deps.sessions.get(session_id(exchange.headers, original, agent))
        session.agent = agent.name if agent else None
        availability = self._availability()
        turn = deps.processor.process(original, session, agent, availability, request.typed_from)
        chat, prompt = deps.redact(request.body, turn.chat, turn.prompt)
        exchange.prompt = PromptContext(session, prompt, time.time(), time.monotonic())
        exchange.prompt.commands = [deps.redactor.scrub(each) for each in turn.commands]
        is_same = chat is request.chat and request.body is not None
        deps.capture(exchange, body, chat, is_same=is_same)
        routing = self._routing(original, session, availability)
        if turn.reply is not None:
            exchange.outcome.text = turn.reply
            exchange.prompt.model = _model_of(exchange, routing)
            return _reply(exchange, chat, agent, turn.reply)
        if turn.note and not deps.configured.is_playback:
            exchange.note = Note(fit_note(agent, turn.note))
        plan = planner.plan(exchange.requested, self._plan_inputs(routing, session))
        self._send(flow, exchange, chat, request.body if chat is original else None, plan)
        return None

    def command(self, name: str, arguments: Sequence[Argument], session: Session) -> str:
        """Run a command that mitmproxy's user gives. Raises CommandError."""
        return self._deps.proxy_state.run(name, arguments, session, self._availability())

    def snapshot(self) -> ProxySnapshot:
        return self._deps.proxy_state.snapshot(self._deps.sessions, self._availability())

    def _availability(self) -> Availability:
        cooldowns = self._cooldowns.active(time.monotonic())
        return Availability(self._deps.available_backends(), cooldowns)

    def _routing(
        self, original: Chat, session: Session, availability: Availability
    ) -> RoutingInputs:
        once = once_model(original, session)
        proxy = self._deps.proxy_state.snapshot([session], availability)
        return replace(proxy.routing(*proxy.sessions), once=once)

    def _plan_inputs(self, routing: RoutingInputs, session: Session) -> PlanInputs:
        deps = self._deps
        return PlanInputs(
            routing,
            session.settings,
            deps.configured,
            session.last_target if deps.is_sticky else None,
            deps.is_project_required,
        )

    def _send(
        self, flow: http.HTTPFlow, exchange: Exchange, chat: Chat, body: bytes | None, plan: Plan
    ) -> None:
        assert exchange.prompt
        session, read_timeout_s = exchange.prompt.session, self._deps.read_timeout_s
        project = session.settings.project
        headers = self._deps.redact_headers(exchange.headers)
        prompt = ModelRequest(chat, body, None, headers, session.id, project)
        backends, deadline_s = self._deps.configured.backends, 2 * max(read_timeout_s.values())
        attempt_deps = AttemptDeps(backends, self._cooldowns, read_timeout_s, deadline_s)
        AttemptRunner(attempt_deps, exchange, prompt, plan).start(flow)

    def record(self, exchange: Exchange) -> Entry | None:
        """Add a finished exchange to its session's history. Returns None if it is not a prompt.

        A note that is not in the response stays for the session's next one.
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
        entry = entry_of(exchange, prompt, self._deps.redactor.scrub, time.monotonic())
        self._deps.sessions.record(prompt.session, entry)
        if self._deps.log:
            self._deps.log.write(prompt.session.id, entry)
        return entry


def _model_of(exchange: Exchange, routing: RoutingInputs) -> str:
    """The target that the prompt would have had; the requested model if it has none."""
    try:
        return str(resolve(exchange.requested, routing).target)
    except ApiError:
        return exchange.requested or ""


def _reply(exchange: Exchange, chat: Chat, agent: Agent | None, text: str) -> http.Response:
    """The proxy's reply, complete or streamed, in the form that the agent displays."""
    assert exchange.prompt
    reply = wrap_reply(agent, chat, text)
    message: dict[str, object] = {"role": "assistant", "content": reply}
    if isinstance(reply, ToolCall):
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [openai_wire.tool_call(f"call_{OWN_ID}", reply.name, reply.arguments)],
        }
    completion = openai_wire.completion_of(
        message, id=OWN_ID, model=exchange.prompt.model, created=int(time.time())
    )
    if not exchange.encoder:
        assert exchange.client_request
        return json_reply(200, exchange.client_request.render(completion))
    if not openai_wire.wants_usage(chat):
        del completion["usage"]
    return sse_reply(encode(completion, exchange.encoder))

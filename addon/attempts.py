"""The attempts that a prompt takes, one after the other, in the same flow."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mitmproxy import http

from addon import upstream
from addon.exchange import Exchange, Upstream
from backends.errors import ApiError
from backends.model_id import BackendName
from backends.protocol import Backend, ChatCall, Prompt
from backends.stream import Outcome, Pipe
from commands import failover
from commands.failover import Attempt, Cooldowns
from commands.routing import Target

MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Means:
    """What attempts are made with. `silence_s`: how long a backend may be silent.

    No attempt is begun later than `max_s` after the first.
    """

    backends: Mapping[BackendName, Backend]
    cooldowns: Cooldowns
    silence_s: Mapping[BackendName, float]
    max_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The attempts in their order. `why` they are these is for people."""

    attempts: Sequence[Attempt]
    has_route: bool
    why: str


class Attempts:
    """Puts the attempts of one prompt into its flow; each is made of what the client asked."""

    def __init__(self, means: Means, exchange: Exchange, prompt: Prompt, plan: Plan) -> None:
        assert exchange.talk
        self._means = means
        self._exchange = exchange
        self._talk = exchange.talk
        self._prompt = prompt
        self._plan = plan
        now = time.monotonic()
        self._left = [each for each in plan.attempts if not means.cooldowns.wait_s(each, now)]
        del self._left[MAX_ATTEMPTS:]
        self.planned = len(self._left)
        self.current = plan.attempts[0]
        self.is_open = False  # the current one has been made, and has not failed yet
        self._begun = now

    def start(self, flow: http.HTTPFlow) -> None:
        """Put the first one in; ApiError if none is possible."""
        if not self._left:
            now = time.monotonic()
            raise failover.all_resting(self._plan.attempts, self._means.cooldowns, now)
        self._exchange.retry = self.retry
        if error := self._next(flow):
            raise error

    def retry(self, flow: http.HTTPFlow, error: ApiError) -> ApiError | None:
        """After a failure put in what comes next, or return the error to tell the client."""
        assert self._exchange.upstream
        self.is_open = False
        self._talk.attempts.append(self.told(f"{error.status} {error}"))
        if amended := self._amended(error):
            self._put(flow, amended)
            return None
        if error.status == 429:
            now = time.monotonic()
            self._means.cooldowns.rest(self.current, error, now, time.time())
        self._talk.session.sticky = None
        if flow.request.raw_content != self._call.request.body:
            return error  # edited by hand meanwhile, which the next attempt would undo
        if not failover.is_next_due(error, self._plan.has_route):
            return error
        if time.monotonic() - self._talk.started < self._means.max_s:
            return self._next(flow, error)
        return failover.all_failed(error, self._talk.attempts)

    def told(self, end: str) -> str:
        """How the current attempt went, for people."""
        return f"{self.current}: {end} ({time.monotonic() - self._begun:.2f} s)"

    def _amended(self, error: ApiError) -> ChatCall | None:
        try:
            return self._call.amend(error)
        except ApiError:
            return None  # the other form does not suit this prompt

    def _next(self, flow: http.HTTPFlow, error: ApiError | None = None) -> ApiError | None:
        """Put in the next attempt that can be made; else return the error to tell."""
        while self._left:
            self.current = self._left.pop(0)
            self._begun = time.monotonic()
            backend, model, key = self.current
            prompt = self._prompt._replace(model=model or None)
            try:
                call = self._means.backends[backend].prepare(prompt, key)
            except ApiError as unfit:
                error = error or unfit  # what an upstream has said counts for more
                self._talk.attempts.append(self.told(f"{unfit.status} {unfit}"))
                continue
            self._exchange.upstream = Upstream(
                self._means.backends[backend].title,
                Target(backend, model, self._plan.why),
                key.name,
                call,
                self._means.silence_s[backend],
            )
            self._put(flow, call)
            return None
        assert error
        return failover.all_failed(error, self._talk.attempts)

    def _put(self, flow: http.HTTPFlow, call: ChatCall) -> None:
        """Put a call's request into the flow, and get ready for its answer."""
        exchange = self._exchange
        assert exchange.upstream
        self.is_open = True
        self._call = exchange.upstream.call = call
        exchange.outcome = Outcome()
        exchange.received.clear()
        if exchange.encoder:
            exchange.pipe = Pipe(call.decoder(), exchange.encoder, exchange.outcome, exchange.note)
        upstream.put_into(flow, call.request, exchange.upstream.key_name)

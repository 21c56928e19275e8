"""Runs the attempts of a prompt in sequence, in the same flow."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from mitmproxy import http

from addon.exchange.exchange import AttemptLog, Exchange, Upstream
from addon.exchange.upstream_request import is_bound, set_upstream_request
from backends.backend import Backend, ChatCall, ModelRequest
from backends.errors import ApiError
from backends.model_id import BackendName
from backends.stream import Outcome, Pipe
from commands.routing import failover
from commands.routing.cooldowns import Cooldowns, all_cooling_down
from commands.routing.planner import Plan
from commands.routing.target import Target

MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class AttemptDeps:
    """What attempts need from the addon."""

    backends: Mapping[BackendName, Backend]
    cooldowns: Cooldowns
    read_timeout_s: Mapping[BackendName, float]
    deadline_s: float
    """No attempt starts later than this after the first."""


class AttemptRunner:
    """Runs a prompt's attempts. Each is built from the client's original request."""

    def __init__(
        self, deps: AttemptDeps, exchange: Exchange, request: ModelRequest, plan: Plan
    ) -> None:
        assert exchange.prompt
        self._deps = deps
        self._exchange = exchange
        self._prompt = exchange.prompt
        self._request = request
        self._plan = plan
        now = time.monotonic()
        self._remaining = [
            each for each in plan.attempts if not deps.cooldowns.remaining_s(each, now)
        ]
        del self._remaining[MAX_ATTEMPTS:]
        self._log = AttemptLog(plan.attempts[0], now, len(self._remaining))
        exchange.attempts = self._log

    def start(self, flow: http.HTTPFlow) -> None:
        """Send the first attempt. Raises ApiError if none is possible."""
        if not self._remaining:
            now = time.monotonic()
            raise all_cooling_down(self._plan.attempts, self._deps.cooldowns, now)
        self._exchange.retry = self.retry
        if error := self._start_next(flow):
            raise error

    def retry(self, flow: http.HTTPFlow, error: ApiError) -> ApiError | None:
        """Start the next attempt after a failure. Returns the client's error if there is none."""
        assert self._exchange.upstream
        self._log.is_open = False
        self._fail(error)
        if call := self._retry_of(error):
            self._send(flow, call)
            return None
        if error.status == 429:
            now = time.monotonic()
            self._deps.cooldowns.start(self._log.current, error, now, time.time())
        self._prompt.session.last_target = None
        request = self._call.request
        if flow.request.raw_content != request.body or not is_bound(flow, request):
            return error  # edited by hand, which the next attempt would undo
        if not failover.should_try_next(error, self._plan.has_route):
            return error
        if time.monotonic() - self._prompt.started < self._deps.deadline_s:
            return self._start_next(flow, error)
        return failover.all_failed(error, self._log.failed)

    def _fail(self, error: ApiError) -> None:
        result = self._log.result(f"{error.status} {error}", time.monotonic())
        self._log.failed.append(result)

    def _retry_of(self, error: ApiError) -> ChatCall | None:
        try:
            return self._call.retry_for(error)
        except ApiError:
            return None  # the retry's form cannot hold this prompt

    def _start_next(self, flow: http.HTTPFlow, error: ApiError | None = None) -> ApiError | None:
        """Send the next attempt that can be built; else return the error for the client."""
        while self._remaining:
            self._log.current = self._remaining.pop(0)
            self._log.started = time.monotonic()
            backend, model, key = self._log.current
            request = self._request._replace(model=model or None)
            try:
                call = self._deps.backends[backend].prepare(request, key)
            except ApiError as unfit:
                error = error or unfit  # an upstream's error matters more
                self._fail(unfit)
                continue
            self._exchange.upstream = Upstream(
                self._deps.backends[backend].title,
                Target(backend, model, self._plan.reason),
                key.name,
                call,
                self._deps.read_timeout_s[backend],
            )
            self._send(flow, call)
            return None
        assert error
        return failover.all_failed(error, self._log.failed)

    def _send(self, flow: http.HTTPFlow, call: ChatCall) -> None:
        """Put a call's request into the flow, and reset the exchange for its response."""
        exchange = self._exchange
        assert exchange.upstream
        self._log.is_open = True
        self._call = exchange.upstream.call = call
        exchange.outcome = Outcome()
        exchange.upstream_body.clear()
        if exchange.encoder:
            exchange.pipe = Pipe(call.decoder(), exchange.encoder, exchange.outcome, exchange.note)
        set_upstream_request(flow, call.request, exchange.upstream.key_name)

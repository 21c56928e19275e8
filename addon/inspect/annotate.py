"""What lists of flows tell of an exchange: comment, marker, and flat metadata to filter by."""

from collections.abc import Callable, Iterator
from typing import Any

from mitmproxy import http

from addon.exchange import flow_record
from addon.exchange.exchange import Exchange
from backends.usage import Usage, read_usage
from commands.sessions.session import Entry

FAILED = ":x:"
FAILED_OVER = ":repeat:"

LONGEST_REASON = 120
SMALLEST_COST = 0.0001
_USUAL_ENDS = frozenset({None, "stop", "tool_calls"})
_CANCELLED = 499

Facts = dict[str, str | int | float]


def begin(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """At the request, if it can be looked at by then: who asks what, and whom it is put to."""
    if exchange.is_captured and (exchange.prompt or exchange.upstream):
        flow.metadata.update(_asked(exchange))
        flow.comment = _names(exchange)
        _keep_sides(flow, exchange)


def progress(flow: http.HTTPFlow, exchange: Exchange, elapsed_s: float) -> None:
    """While the answer is on its way."""
    flow.comment = f"{_names(exchange)} | {elapsed_s:.0f}s ..."


def finish(
    flow: http.HTTPFlow,
    exchange: Exchange,
    entry: Entry | None,
    error: str | None,
    clean: Callable[[bytes], bytes],
) -> None:
    """At the end: how it went. `error` is for people; `clean` takes secrets out of bodies."""
    if not (exchange.prompt or exchange.upstream):
        flow.comment = error or ""
        return
    facts = _asked(exchange) | _answered(exchange, entry, error) | _connected(flow)
    flow.metadata.update(facts)
    flow.comment = " | ".join([_names(exchange), *_summary(exchange, entry, error)])
    is_cancelled = exchange.outcome.error and exchange.outcome.error.status == _CANCELLED
    if not flow.marked and not is_cancelled:
        has_failed_over = entry is not None and len(entry.attempts) > 1
        flow.marked = FAILED if error else FAILED_OVER if has_failed_over else ""
    _keep_sides(flow, exchange)
    if exchange.is_captured:
        _keep_answer(flow, clean(bytes(exchange.upstream_body)), clean)


def _keep_sides(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Keep what the flow does not show; with the next attempt that may be another side."""
    for side, data in exchange.captures.items():
        if side == flow_record.CLIENT_REQUEST and data == flow.request.raw_content:
            flow.metadata.pop(side, None)
        elif side not in flow.metadata:
            flow_record.save(flow, side, data)


def _keep_answer(flow: http.HTTPFlow, received: bytes, clean: Callable[[bytes], bytes]) -> None:
    sent = flow.response and flow.response.raw_content
    if flow.response and flow.response.stream and sent:
        flow.response.data.content = sent = clean(sent)  # the client has got it already
    if received and received != sent:
        flow_record.save(flow, flow_record.UPSTREAM_RESPONSE, received)


def _asked(exchange: Exchange) -> Facts:
    prompt, served = exchange.prompt, exchange.upstream
    return {flow_record.ENDPOINT: exchange.endpoint} | _known(
        llm_session=prompt and prompt.session.id,
        llm_agent=prompt and prompt.session.agent,
        llm_project=prompt and prompt.session.settings.project,
        llm_commands=prompt and " ".join(prompt.commands),
        llm_requested=exchange.requested,
        llm_model=served and str(served.target),
        llm_backend=served and served.target.backend,
        llm_key=served and served.key_name,
    )


def _answered(exchange: Exchange, entry: Entry | None, error: str | None) -> Facts:
    usage = read_usage(exchange.outcome.usage) or Usage()
    attempts = entry.attempts if entry else ()
    return _known(
        llm_error=error,
        llm_finish_reason=exchange.outcome.finish_reason,
        llm_prompt_tokens=usage.prompt_tokens,
        llm_completion_tokens=usage.completion_tokens,
        llm_cost=usage.cost,
        llm_ttft_s=entry and entry.first_token_s and round(entry.first_token_s, 3),
        llm_total_s=entry and entry.total_s and round(entry.total_s, 3),
        llm_attempts=len(attempts),
        **{f"llm_attempt_{number}": str(each) for number, each in enumerate(attempts, 1)},
    )


def _connected(flow: http.HTTPFlow) -> Facts:
    since = flow.server_conn.timestamp_start
    is_reused = since is not None and since < flow.request.timestamp_start
    return _known(llm_connection=is_reused and "reused")


def _known(**facts: Any) -> Facts:
    return {name: fact for name, fact in facts.items() if fact not in (None, "", 0)}


def _names(exchange: Exchange) -> str:
    """The model asked for, and the one that serves if it is another."""
    served = str(exchange.upstream.target) if exchange.upstream else "proxy"
    asked = exchange.requested
    return served if asked in (None, served) else f"{asked} -> {served}"


def _summary(exchange: Exchange, entry: Entry | None, error: str | None) -> Iterator[str]:
    prompt, usage = exchange.prompt, read_usage(exchange.outcome.usage) or Usage()
    if prompt and prompt.commands:
        yield " ".join(prompt.commands)
    if exchange.upstream and (usage.prompt_tokens or usage.completion_tokens):
        yield f"{_short(usage.prompt_tokens)}+{_short(usage.completion_tokens)} tok"
    if cost := usage.cost:
        yield f"${cost:.4f}" if cost >= SMALLEST_COST else f"< ${SMALLEST_COST}"
    if entry and entry.first_token_s:
        yield f"ttft {_time(entry.first_token_s)}"
    log = exchange.attempts
    if log and (log.planned > 1 or len(log.failed) > 1):
        yield f"attempt {log.made}/{max(log.made, log.planned)}"
    if exchange.outcome.finish_reason not in _USUAL_ENDS:
        yield f"ended by {exchange.outcome.finish_reason}"
    if error:
        yield error if len(error) <= LONGEST_REASON else f"{error[:LONGEST_REASON]}..."


def _time(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 0.1 else f"{seconds * 1000:.0f}ms"


def _short(count: int) -> str:
    """A number of tokens as people read it."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k"

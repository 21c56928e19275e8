"""Annotates flows for mitmproxy's lists: comment, marker, and metadata to filter by."""

from collections.abc import Callable, Iterator

from mitmproxy import http

from addon.exchange import flow_record
from addon.exchange.exchange import Exchange
from addon.exchange.facts import facts_of
from backends.usage import Usage, read_usage
from commands.sessions.session import Entry

FAILED = ":x:"
FAILED_OVER = ":repeat:"

MAX_ERROR = 120
MIN_COST = 0.0001
_USUAL_FINISH_REASONS = frozenset({None, "stop", "tool_calls"})
_CANCELLED = 499


def begin(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Annotate a flow when its request is sent, if flows are kept: model, session, agent."""
    if exchange.is_captured and (exchange.prompt or exchange.upstream):
        flow.metadata.update(facts_of(exchange))
        flow.comment = _model_label(exchange)
        _keep_sides(flow, exchange)


def progress(flow: http.HTTPFlow, exchange: Exchange, elapsed_s: float) -> None:
    """Refresh the comment while the response streams."""
    flow.comment = f"{_model_label(exchange)} | {elapsed_s:.0f}s ..."


def finish(
    flow: http.HTTPFlow,
    exchange: Exchange,
    entry: Entry | None,
    error: str | None,
    clean: Callable[[bytes], bytes],
) -> None:
    """Annotate a finished flow: outcome, tokens, times. `clean` removes secrets from bodies."""
    if not (exchange.prompt or exchange.upstream):
        flow.comment = error or ""
        return
    facts = facts_of(exchange, entry, error)
    flow.metadata.update(facts | _connection_facts(flow))
    flow.comment = " | ".join([_model_label(exchange), *_summary(exchange, entry, error)])
    is_cancelled = exchange.outcome.error and exchange.outcome.error.status == _CANCELLED
    if not flow.marked and not is_cancelled:
        has_failed_over = entry is not None and len(entry.attempts) > 1
        flow.marked = FAILED if error else FAILED_OVER if has_failed_over else ""
    _keep_sides(flow, exchange)
    if exchange.is_captured:
        _keep_answer(flow, clean(bytes(exchange.upstream_body)), clean)


def _keep_sides(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Save bodies that the flow itself does not show. A failover may change which those are."""
    for side, data in exchange.captures.items():
        if side == flow_record.CLIENT_REQUEST and data == flow.request.raw_content:
            flow.metadata.pop(side, None)
        elif side not in flow.metadata:
            flow_record.save(flow, side, data)


def _keep_answer(flow: http.HTTPFlow, received: bytes, clean: Callable[[bytes], bytes]) -> None:
    sent = flow.response and flow.response.raw_content
    if flow.response and flow.response.stream and sent:
        flow.response.data.content = sent = clean(sent)  # after the client has received it
    if received and received != sent:
        flow_record.save(flow, flow_record.UPSTREAM_RESPONSE, received)


def _connection_facts(flow: http.HTTPFlow) -> dict[str, str]:
    since = flow.server_conn.timestamp_start
    is_reused = since is not None and since < flow.request.timestamp_start
    return {"llm_connection": "reused"} if is_reused else {}


def _model_label(exchange: Exchange) -> str:
    """The requested model, and the serving one if it differs."""
    serving = str(exchange.upstream.target) if exchange.upstream else "proxy"
    requested = exchange.requested
    return serving if requested in (None, serving) else f"{requested} -> {serving}"


def _summary(exchange: Exchange, entry: Entry | None, error: str | None) -> Iterator[str]:
    prompt, usage = exchange.prompt, read_usage(exchange.outcome.usage) or Usage()
    if prompt and prompt.commands:
        yield " ".join(prompt.commands)
    if exchange.upstream and (usage.prompt_tokens or usage.completion_tokens):
        yield f"{_short(usage.prompt_tokens)}+{_short(usage.completion_tokens)} tok"
    if cost := usage.cost:
        yield f"${cost:.4f}" if cost >= MIN_COST else f"< ${MIN_COST}"
    if entry and entry.first_token_s:
        yield f"ttft {_time(entry.first_token_s)}"
    log = exchange.attempts
    if log and (log.planned > 1 or len(log.failed) > 1):
        yield f"attempt {log.made}/{max(log.made, log.planned)}"
    if exchange.outcome.finish_reason not in _USUAL_FINISH_REASONS:
        yield f"ended by {exchange.outcome.finish_reason}"
    if error:
        yield error if len(error) <= MAX_ERROR else f"{error[:MAX_ERROR]}..."


def _time(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 0.1 else f"{seconds * 1000:.0f}ms"


def _short(count: int) -> str:
    """A token count, in thousands if it is large."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k"

"""An exchange that is over, as an entry of its session's history."""

from collections.abc import Callable

from addon.exchange.exchange import Exchange, PromptContext
from backends.usage import read_usage
from commands.routing.attempt import AttemptResult
from commands.sessions.session import Entry, clipped

Clean = Callable[[str], str]


def entry_of(exchange: Exchange, prompt: PromptContext, clean: Clean, now: float) -> Entry:
    """What the history keeps; `clean` takes secrets out of text, `now` is monotonic."""
    served, outcome, log = exchange.upstream, exchange.outcome, exchange.attempts
    error = error_of(exchange, clean)
    text = outcome.text or (exchange.pipe.text() if exchange.pipe else "")
    attempts = list(log.failed) if log else []
    if log and log.is_open:
        attempts.append(log.result(error, now))
    return Entry(
        time=prompt.time,
        handler="backend" if served else "proxy",
        prompt=clipped(prompt.text),
        text=clipped(clean(text)),
        model=str(served.target) if served else prompt.model,
        project=prompt.session.settings.project,
        key_name=served.key_name if served else None,
        attempts=tuple(_cleaned(each, clean) for each in attempts),
        finish_reason=outcome.finish_reason,
        usage=read_usage(outcome.usage),
        first_token_s=prompt.first_token_at and prompt.first_token_at - prompt.started,
        total_s=now - prompt.started,
        error=error,
    )


def _cleaned(result: AttemptResult, clean: Clean) -> AttemptResult:
    return result._replace(model=clean(result.model), error=result.error and clean(result.error))


def error_of(exchange: Exchange, clean: Clean) -> str | None:
    """Why there is no answer, or only a part of one, for people."""
    error = exchange.outcome.error
    return clean(f"{error.status} {error.message}") if error else None

"""An exchange that is over, as an entry of its session's history."""

from collections.abc import Callable

from addon.exchange import Exchange, Talk
from commands.session import Entry, clipped

Clean = Callable[[str], str]


def entry_of(exchange: Exchange, talk: Talk, clean: Clean, now: float) -> Entry:
    """What the history keeps; `clean` takes secrets out of text, `now` is monotonic."""
    served, outcome, journey = exchange.upstream, exchange.outcome, talk.journey
    error = error_of(exchange, clean)
    text = outcome.text or (exchange.pipe.text() if exchange.pipe else "")
    attempts = list(talk.attempts)
    if journey and journey.is_open:
        attempts.append(journey.told(error or "ok"))
    return Entry(
        time=talk.time,
        handler="backend" if served else "proxy",
        prompt=clipped(talk.prompt),
        text=clipped(clean(text)),
        model=str(served.target) if served else talk.model,
        project=talk.session.settings.project,
        key_name=served.key_name if served else None,
        attempts=tuple(map(clean, attempts)),
        finish_reason=outcome.finish_reason,
        usage=outcome.usage,
        first_token_s=talk.first_token_at and talk.first_token_at - talk.started,
        total_s=now - talk.started,
        error=error,
    )


def error_of(exchange: Exchange, clean: Clean) -> str | None:
    """Why there is no answer, or only a part of one, for people."""
    error = exchange.outcome.error
    return clean(f"{error.status} {error.message}") if error else None

"""Makes history entries of finished exchanges, and writes them to the optional session logs."""

import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path

from addon.exchange.exchange import Exchange, PromptContext
from backends import jsonio
from backends.usage import read_usage
from commands.routing.attempt import AttemptResult
from commands.sessions.session import Entry, truncated

logger = logging.getLogger(__name__)

Clean = Callable[[str], str]
"""Removes secrets from a text."""

_MAX_NAME = 100


def entry_of(exchange: Exchange, prompt: PromptContext, clean: Clean, now: float) -> Entry:
    """The history entry of a finished exchange; `now` is monotonic."""
    upstream, outcome, log = exchange.upstream, exchange.outcome, exchange.attempts
    error = error_of(exchange, clean)
    text = outcome.text or (exchange.pipe.text() if exchange.pipe else "")
    attempts = list(log.failed) if log else []
    if log and log.is_open:
        attempts.append(log.result(error, now))
    return Entry(
        time=prompt.time,
        handler="backend" if upstream else "proxy",
        prompt=truncated(prompt.text),
        text=truncated(clean(text)),
        model=str(upstream.target) if upstream else prompt.model,
        project=prompt.session.settings.project,
        key_name=upstream.key_name if upstream else None,
        attempts=tuple(_cleaned(each, clean) for each in attempts),
        finish_reason=outcome.finish_reason,
        usage=read_usage(outcome.usage),
        first_token_s=prompt.first_token_at and prompt.first_token_at - prompt.started,
        total_s=now - prompt.started,
        error=error,
    )


def error_of(exchange: Exchange, clean: Clean) -> str | None:
    """The status and message of the exchange's error, for people."""
    error = exchange.outcome.error
    return clean(f"{error.status} {error.message}") if error else None


def _cleaned(result: AttemptResult, clean: Clean) -> AttemptResult:
    return result._replace(model=clean(result.model), error=result.error and clean(result.error))


class SessionLog:
    """Appends entries to `<session>.jsonl` in a folder; each is on disk at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def write(self, session_id: str, entry: Entry) -> None:
        """Append one entry. An OSError, such as a full disk, is only logged."""
        line = jsonio.encode({**entry._asdict(), "attempts": list(map(str, entry.attempts))})
        try:
            with (self._folder / file_name(session_id)).open("ab") as file:
                file.write(line + b"\n")
        except OSError as error:
            logger.warning("Cannot write the log of session %s: %s", session_id, error)


def file_name(session_id: str) -> str:
    """A file name without path separators for any session id.

    An altered id gets a hash, so that two sessions never share a file.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", session_id)[:_MAX_NAME]
    if safe == session_id:
        return f"{safe}.jsonl"
    return f"{safe}-{hashlib.sha256(session_id.encode()).hexdigest()[:12]}.jsonl"

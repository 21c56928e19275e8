"""Makes history entries of finished exchanges, and writes them to the optional session logs."""

import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path

from addon.exchange import private_files
from addon.exchange.exchange import Exchange, PromptContext
from backends import jsonio
from backends.usage import read_usage
from commands.routing.attempt import AttemptResult
from commands.sessions.session import Entry, truncated

logger = logging.getLogger(__name__)

Clean = Callable[[str], str]
"""Removes secrets from a text."""

_MAX_NAME = 100
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)\d", re.IGNORECASE)
"""Windows opens a device by these names, whatever their ending."""


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
        private_files.make_folder(folder)
        self._folder = folder

    def write(self, session_id: str, entry: Entry) -> None:
        """Append one entry. An OSError, such as a full disk, is only logged."""
        line = jsonio.encode({**entry._asdict(), "attempts": list(map(str, entry.attempts))})
        try:
            with private_files.append_to(self._folder / file_name(session_id)) as file:
                private_files.write_whole(file, line + b"\n")
        except OSError as error:
            logger.warning("Cannot write the log of session %s: %s", session_id, error)


def file_name(session_id: str) -> str:
    """A file name without path separators for any session id.

    An id that is altered, has capital letters or names a device gets a hash behind a sign that no
    other name has. So two sessions never share a file, even if the file system ignores case.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", session_id)[:_MAX_NAME]
    if safe == session_id == safe.lower() and safe and not _RESERVED.fullmatch(safe):
        return f"{safe}.jsonl"
    digest = hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{safe}+{digest}.jsonl"

"""The optional log of each session: one file of JSON lines, an exchange a line."""

import hashlib
import logging
import re
from pathlib import Path

from backends import jsonio
from commands.sessions.session import Entry

logger = logging.getLogger(__name__)

_MAX_NAME = 100


class SessionLog:
    """Appends to `<session>.jsonl` in a folder; each line is on disk when `write` returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def write(self, session_id: str, entry: Entry) -> None:
        """Add one exchange; a full disk is logged and does not disturb the proxy."""
        try:
            with (self._folder / file_name(session_id)).open("ab") as file:
                file.write(jsonio.encode(_to_json(entry)) + b"\n")
        except OSError as error:
            logger.warning("Cannot write the log of session %s: %s", session_id, error)


def _to_json(entry: Entry) -> jsonio.Json:
    return {**entry._asdict(), "attempts": list(map(str, entry.attempts))}


def file_name(session_id: str) -> str:
    """A name that stays in its folder, whatever a client calls its session.

    Ids that have to be altered get a hash, so that two of them never share a file.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", session_id)[:_MAX_NAME]
    if safe == session_id:
        return f"{safe}.jsonl"
    return f"{safe}-{hashlib.sha256(session_id.encode()).hexdigest()[:12]}.jsonl"

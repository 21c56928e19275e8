"""Finds the session id of a request."""

import hashlib
import json
from collections.abc import Callable, Mapping

from backends.backend import Headers
from backends.openai_wire import Chat
from commands.agents.table import Agent

DEFAULT = "default"
MAX_LENGTH = 128

Source = Callable[[Mapping[str, str], Chat], object]


def _header(name: str) -> Source:
    return lambda headers, chat: headers.get(name)


def _field(name: str) -> Source:
    return lambda headers, chat: chat.get(name)


def _user_id(headers: Mapping[str, str], chat: Chat) -> object:
    """The session id in `metadata.user_id`, in which Claude Code sends JSON text."""
    metadata = chat.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    try:
        value = json.loads(user) if isinstance(user, str) else None
    except (ValueError, RecursionError):
        return None
    return value.get("session_id") if isinstance(value, dict) else None


SOURCES: tuple[Source, ...] = (
    _header("x-session-id"),  # set by hand; opencode, Kilo, Crush
    _header("session-id"),  # Codex, opencode, pi, Roo Code
    _header("session_id"),
    _header("thread-id"),
    _header("conversation_id"),
    _header("x-claude-code-session-id"),
    _user_id,
    _header("goose-session-id"),
    _header("x-session-affinity"),  # opencode and its forks
    _header("x-roo-task-id"),
    _field("prompt_cache_key"),  # Codex, opencode, pi
    _field("session_id"),  # Cline CLI
)
"""Places of a conversation's id; the first that is present counts. No place names a request."""


def session_id(headers: Headers, chat: Chat, agent: Agent | None) -> str:
    """A printable id of at most `MAX_LENGTH` characters.

    Requests without an id share one session per agent.
    """
    first = dict(reversed(headers))
    for source in SOURCES:
        value = source(first, chat)
        if isinstance(value, str) and value.strip():
            return _sanitized(value.strip())
    return f"{DEFAULT}-{agent.name}" if agent else DEFAULT


def _sanitized(value: str) -> str:
    """The value; if it does not fit into a log line, its beginning and a digest."""
    if len(value) <= MAX_LENGTH and value.isprintable():
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    head = "".join(character if character.isprintable() else "_" for character in value[:64])
    return f"{head}~{digest}"

"""Stores thought signatures between the turns of a session, and reads those that clients send.

Gemini signs the thoughts before a call or a text. Since Gemini 3 it refuses a request if a call of
the current turn lacks its signature (API documentation, "Thought signatures"). OpenAI's format has
no field for signatures, so most clients lose them. A signature is opaque: it is never decoded,
changed or merged.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

PLACEHOLDER = "skip_thought_signature_validator"
"""Documented replacement for a lost signature. It lowers the quality of responses."""

# The approximate size of an entry without its strings.
_ENTRY_BYTES = 300


class SignedCall(NamedTuple):
    """A tool call that a model has made."""

    generation: str
    """The name of the model's generation."""
    turn: str
    """Identifies the choice that holds the call."""
    position: int
    """Among the parallel calls of that choice."""
    native_id: str | None
    """Gemini's id."""
    signature: str | None
    """Only the first of parallel calls has one."""


class Span(NamedTuple):
    """A signed part of a text. It is often empty, at the end of the text."""

    start: int
    end: int
    signature: str


class SignedText(NamedTuple):
    """The signed parts of a turn's text, in order."""

    generation: str
    spans: tuple[Span, ...]


class SignatureMemory:
    """Signatures by session, in a bounded LRU store."""

    def __init__(self, max_entries: int = 20_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[str, str], SignedCall | SignedText] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def keep_call(self, session: str, id: str, call: SignedCall) -> None:
        """Remember a call by the id that the client knows it by."""
        self._keep((session, f"call {id}"), call)

    def find_call(self, session: str, id: str) -> SignedCall | None:
        found = self._find((session, f"call {id}"))
        return found if isinstance(found, SignedCall) else None

    def keep_text(self, session: str, text: str, signed: SignedText) -> None:
        """Remember the signatures of a turn's whole text."""
        self._keep((session, f"text {_digest(text)}"), signed)

    def find_text(self, session: str, text: str) -> SignedText | None:
        found = self._find((session, f"text {_digest(text)}"))
        return found if isinstance(found, SignedText) else None

    def _find(self, key: tuple[str, str]) -> SignedCall | SignedText | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def _keep(self, key: tuple[str, str], entry: SignedCall | SignedText) -> None:
        self._forget(key)
        self._entries[key] = entry
        self._bytes += _size(key, entry)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: tuple[str, str]) -> None:
        if entry := self._entries.pop(key, None):
            self._bytes -= _size(key, entry)


def _size(key: tuple[str, str], entry: SignedCall | SignedText) -> int:
    if isinstance(entry, SignedText):
        signed = sum(len(span.signature) for span in entry.spans)
    else:
        signed = len(entry.signature or "") + len(entry.native_id or "")
    return _ENTRY_BYTES + len(key[0]) + len(key[1]) + signed


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def extra_content(signature: str) -> dict[str, Any]:
    """A signature as in Google's OpenAI-compatible API, for clients that keep unknown fields.

    It goes on a tool call, or on the message or delta of a signed text.
    """
    return {"google": {"thought_signature": signature}}


def carried_signature(holder: Mapping[str, Any]) -> str | None:
    """The signature in the `extra_content` of a client's message or tool call."""
    value: object = holder
    for name in ("extra_content", "google", "thought_signature"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value else None


@dataclass(frozen=True, slots=True)
class Signatures:
    """One session's signatures, as far as models of one generation accept them.

    Remembered signatures take precedence over those that the client sends.
    """

    memory: SignatureMemory
    session: str
    generation: str
    are_sent: bool = True
    """False after the model has refused one of them."""

    def of_call(self, id: str | None, holder: Mapping[str, Any]) -> SignedCall | None:
        """The stored facts about a call in the history; `holder` is the client's tool call."""
        known = self.memory.find_call(self.session, id) if id else None
        if known is None and (carried := carried_signature(holder)):
            known = SignedCall(self.generation, "", 0, None, carried)
        if known is None or known.generation != self.generation:
            return None
        return known if self.are_sent else known._replace(signature=None)

    def of_text(self, text: str, holder: Mapping[str, Any]) -> tuple[Span, ...]:
        """The signed parts of a text in the history; `holder` is the client's message."""
        if not self.are_sent:
            return ()
        if known := self.memory.find_text(self.session, text):
            return known.spans if known.generation == self.generation else ()
        carried = carried_signature(holder)
        return (Span(0, len(text), carried),) if carried else ()

"""Thought signatures: kept between the turns of a session, and carried in `extra_content`.

Gemini signs what it thought before a call or a text. From Gemini 3 on it refuses a request whose
calls of the current turn come back without (API documentation, "Thought signatures"). OpenAI's
format has no place for them, so most clients lose them. A signature is opaque: never decoded,
changed or merged.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

PLACEHOLDER = "skip_thought_signature_validator"
"""Documented to pass in place of a signature that is lost. It lowers the answers' quality."""

# What an entry costs beside its strings, roughly.
_ENTRY_BYTES = 300


class SignedCall(NamedTuple):
    """A call that a model has made. `turn` and `position` tell which of parallel calls it was.

    `generation` is that of the model. Of parallel calls only the first has a signature.
    """

    generation: str
    turn: str
    position: int
    native_id: str | None
    signature: str | None


class Span(NamedTuple):
    """A signed part of a text; often an empty one at its end."""

    start: int
    end: int
    signature: str


class SignedText(NamedTuple):
    """The signed parts of a turn's text, in order."""

    generation: str
    spans: tuple[Span, ...]


class SignatureMemory:
    """What was signed, by session; beyond its bounds what was not used for longest goes."""

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
    """A signature in the form of Google's own OpenAI layer, for clients that keep unknown fields.

    It stands on a tool call, or on a message for its text, whole and streamed.
    """
    return {"google": {"thought_signature": signature}}


def carried_signature(holder: Mapping[str, Any]) -> str | None:
    """The signature in the `extra_content` of a message or tool call that a client sent."""
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
        """What is known of a call in the history; `holder` is the client's tool call."""
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

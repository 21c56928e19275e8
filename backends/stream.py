"""Translates a streamed response: upstream bytes in, client bytes out. No I/O.

A backend's decoder turns bytes into events, and the client's encoder turns events into bytes. The
pipe between them updates the outcome and ends the stream exactly once. Events carry the bytes for
a chat client, so bytes pass unchanged where both sides speak the same protocol.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from backends import sse
from backends.dialect import Encoder
from backends.errors import ApiError
from backends.notes import Note

MAX_KEPT_BYTES = 2 * 1024 * 1024
"""How much of a stream is kept for its text: enough for any response that people read."""

_CONTENT = re.compile(rb'"content"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(slots=True)
class Chunk:
    """A chunk of the response or a comment, or several of them that need no parsing."""

    raw: bytes
    data: dict[str, Any] | None = None
    """The parsed chunk, if it has a finish reason or usage."""


@dataclass(slots=True)
class Done:
    """The upstream marked the response as complete."""


@dataclass(slots=True)
class Failed:
    """The upstream reported an error inside its stream. Nothing valid follows."""

    error: ApiError


Event = Chunk | Done | Failed


class Decoder(Protocol):
    """Turns the bytes of one upstream stream into events. Raises ValueError if it is invalid."""

    def feed(self, data: bytes) -> list[Event]: ...

    def finish(self) -> list[Event]:
        """The events that the end of the body completes."""
        ...


@dataclass(slots=True)
class Outcome:
    """Facts about a response, collected while it passes."""

    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: ApiError | None = None
    text: str = ""
    """The text of a complete response. `Pipe.text` has that of a stream."""

    def update(self, data: dict[str, Any]) -> None:
        """Read a chunk or a completion. The last usage counts."""
        usage = data.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if isinstance(choice.get("finish_reason"), str):
                # Some providers send "" on every chunk but the last.
                self.finish_reason = choice["finish_reason"] or self.finish_reason
            message = choice.get("message")
            if isinstance(message, dict) and isinstance(message.get("content"), str):
                self.text = message["content"]


class Pipe:
    """Translates one streamed response, with `note` before its text.

    It ends with the encoder's last event or with an error in the outcome. The caller reports the
    error, because another attempt may follow.
    """

    def __init__(
        self, decoder: Decoder, encoder: Encoder, outcome: Outcome, note: Note | None = None
    ) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._note = note
        self._kept: list[bytes] = []
        self._room = MAX_KEPT_BYTES
        self.outcome = outcome
        self.has_ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """The client's bytes for these: complete events only, often none."""
        return self._translate(self._decoder.feed(data))

    def finish(self) -> list[bytes]:
        """End the stream with the upstream's body, unless it has ended already."""
        output = self._translate(self._decoder.finish())
        if not self.has_ended:
            if self.outcome.finish_reason:
                self.has_ended = True
                output.append(self._encoder.done())
            else:
                self.fail(ApiError(502, "The upstream's stream ended without a finish reason"))
        return output

    def fail(self, error: ApiError) -> None:
        """End the stream with an error, unless it has ended already."""
        if not self.has_ended:
            self.has_ended = True
            self.outcome.error = error

    def text(self) -> str:
        """The response's text so far, without the note."""
        return text_of(b"".join(self._kept))

    def _translate(self, events: list[Event]) -> list[bytes]:
        output = []
        for event in events:
            if self.has_ended:
                break
            match event:
                case Chunk(raw, data):
                    if data is not None:
                        self.outcome.update(data)
                    if self._encoder.is_identity and not self._note:
                        output.append(raw)
                    else:
                        output += self._encode(raw)
                    if self._room > 0:
                        self._kept.append(raw)
                        self._room -= len(raw)
                case Done():
                    self.has_ended = True
                    output.append(self._encoder.done())
                case Failed(error):
                    self.fail(error)
        return output

    def _encode(self, blocks: bytes) -> Iterator[bytes]:
        for block in sse.blocks_of(blocks):
            if self._note and (note_event := self._note.event_before(block)):
                self._note = None
                yield self._encoder.chunk(note_event)
            if encoded := self._encoder.chunk(block):
                yield encoded


def text_of(stream: bytes) -> str:
    """The text in a chat stream.

    Deltas may split an escaped surrogate pair, so the JSON strings are joined before decoding. JSON
    escapes quotes inside strings, so `"content":"` is always a key.
    """
    escaped = b"".join(_CONTENT.findall(stream))
    try:
        return str(json.loads(b'"%s"' % escaped, strict=False))
    except ValueError:
        return escaped.decode("utf-8", "replace")

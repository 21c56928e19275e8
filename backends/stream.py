"""The pipe that a streamed answer runs through: upstream bytes in, client bytes out.

A backend's decoder turns bytes into events, the client's encoder these into what the client sees;
the pipe lets the outcome look at the events that matter and sees to it that the stream ends exactly
once. An event carries the bytes that a chat client should see, so that where both ends speak the
same wire they pass as they came. No I/O here, and no exception but for a bug.
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

# How much of a stream is kept to take its text from: enough for any answer that people read.
MAX_KEPT_BYTES = 2 * 1024 * 1024

_CONTENT = re.compile(rb'"content"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(slots=True)
class Chunk:
    """A piece of the answer, or a comment between pieces: one block, or several without `data`.

    `data` is the parsed chunk if the decoder had a reason to parse it: whenever it holds a finish
    reason or usage.
    """

    raw: bytes
    data: dict[str, Any] | None = None


@dataclass(slots=True)
class Done:
    """The upstream said that the answer is complete."""


@dataclass(slots=True)
class Failed:
    """The upstream reported an error inside its stream; nothing valid follows."""

    error: ApiError


Event = Chunk | Done | Failed


class Decoder(Protocol):
    """One upstream stream, from bytes to events. ValueError means: this is no such stream."""

    def feed(self, data: bytes) -> list[Event]: ...

    def finish(self) -> list[Event]:
        """What the end of the body completes."""
        ...


@dataclass(slots=True)
class Outcome:
    """What is known of an answer: read on the way, complete when the flow is.

    `text` is a whole answer's; a streamed one's is asked of its pipe.
    """

    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: ApiError | None = None
    text: str = ""

    def update(self, data: dict[str, Any]) -> None:
        """Take note of a chunk or a whole completion; of several usages the last one counts."""
        usage = data.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if isinstance(choice.get("finish_reason"), str):
                # Some providers send "" on every chunk that is not the last.
                self.finish_reason = choice["finish_reason"] or self.finish_reason
            message = choice.get("message")
            if isinstance(message, dict) and isinstance(message.get("content"), str):
                self.text = message["content"]


class Pipe:
    """Upstream bytes to client bytes for one streamed answer.

    It ends when the encoder has written its end, or with an error in the outcome, which is for
    somebody else to tell: another attempt may follow. `note` is put in front of the answer's text.
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
        """What the client gets for these bytes: whole events only, often none."""
        return self._pass_on(self._decoder.feed(data))

    def finish(self) -> list[bytes]:
        """The upstream's body is over: complete the client's stream if nothing has yet."""
        pieces = self._pass_on(self._decoder.finish())
        if not self.has_ended:
            if self.outcome.finish_reason:
                self.has_ended = True
                pieces.append(self._encoder.done())
            else:
                self.fail(ApiError(502, "The upstream's stream ended without a finish reason"))
        return pieces

    def fail(self, error: ApiError) -> None:
        """End it with an error, unless it has ended already."""
        if not self.has_ended:
            self.has_ended = True
            self.outcome.error = error

    def text(self) -> str:
        """The answer's text so far, without a note."""
        return text_of(b"".join(self._kept))

    def _pass_on(self, events: list[Event]) -> list[bytes]:
        pieces = []
        for event in events:
            if self.has_ended:
                break
            match event:
                case Chunk(raw, data):
                    if data is not None:
                        self.outcome.update(data)
                    if self._encoder.is_identity and not self._note:
                        pieces.append(raw)
                    else:
                        pieces += self._encode(raw)
                    if self._room > 0:
                        self._kept.append(raw)
                        self._room -= len(raw)
                case Done():
                    self.has_ended = True
                    pieces.append(self._encoder.done())
                case Failed(error):
                    self.fail(error)
        return pieces

    def _encode(self, blocks: bytes) -> Iterator[bytes]:
        for block in sse.blocks_of(blocks):
            if self._note and (event_in_front := self._note.event_before(block)):
                self._note = None
                yield self._encoder.chunk(event_in_front)
            if encoded := self._encoder.chunk(block):
                yield encoded


def text_of(stream: bytes) -> str:
    """The answer's text in a chat stream.

    The pieces are JSON strings cut anywhere, even within an escaped surrogate pair, so they are
    joined before they are decoded. A quote inside a JSON string is escaped, so what looks like
    `"content":"` is one.
    """
    escaped = b"".join(_CONTENT.findall(stream))
    try:
        return str(json.loads(b'"%s"' % escaped, strict=False))
    except ValueError:
        return escaped.decode("utf-8", "replace")

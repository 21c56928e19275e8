"""The pipe that a streamed answer runs through: upstream bytes in, client bytes out.

A backend's decoder turns bytes into events; the pipe lets the outcome look at those that matter
and sees to it that the client's stream ends exactly once, with `[DONE]` or with an error. An event
carries the bytes that a chat client should see, so that where both ends speak the same wire they
pass as they came. No I/O here, and no exception but for a bug.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from backends.errors import ApiError
from backends.openai_wire import DONE


@dataclass(slots=True)
class Chunk:
    """A piece of the answer, or a comment between pieces.

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
    """What is known of an answer: read on the way, complete when the flow is."""

    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: ApiError | None = None

    def see(self, data: dict[str, Any]) -> None:
        """Take note of a chunk or a whole completion; of several usages the last one counts."""
        usage = data.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str):
                # Some providers send "" on every chunk that is not the last.
                self.finish_reason = choice["finish_reason"] or self.finish_reason


class Pipe:
    """Upstream bytes to client bytes for one streamed answer.

    `write_error` makes the event that tells the client of a failure.
    """

    def __init__(
        self, decoder: Decoder, outcome: Outcome, write_error: Callable[[ApiError], bytes]
    ) -> None:
        self._decoder = decoder
        self._write_error = write_error
        self.outcome = outcome
        self.has_ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """What the client gets for these bytes: whole events only, often none."""
        return self._pass_on(self._decoder.feed(data))

    def finish(self) -> list[bytes]:
        """The upstream's body is over: complete the client's stream if nothing has yet."""
        pieces = self._pass_on(self._decoder.finish())
        if self.has_ended:
            return pieces
        if self.outcome.finish_reason:
            return [*pieces, self._end(DONE)]
        return pieces + self.fail(
            ApiError(502, "The upstream's stream ended before its answer did")
        )

    def fail(self, error: ApiError) -> list[bytes]:
        """End the client's stream with an error, unless it has ended already."""
        if self.has_ended:
            return []
        self.outcome.error = error
        return [self._end(self._write_error(error))]

    def _pass_on(self, events: list[Event]) -> list[bytes]:
        pieces = []
        for event in events:
            if self.has_ended:
                break
            match event:
                case Chunk(raw, data):
                    if data is not None:
                        self.outcome.see(data)
                    pieces.append(raw)
                case Done():
                    pieces.append(self._end(DONE))
                case Failed(error):
                    pieces += self.fail(error)
        return pieces

    def _end(self, last: bytes) -> bytes:
        self.has_ended = True
        return last

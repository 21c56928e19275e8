"""Gemini's event stream, from bytes to the chunks of OpenAI's chat completions. No I/O.

Gemini ends a stream by ending its body, without `[DONE]`. Behind good events a bare JSON error may
follow that is no event at all (issue reports, tests/wire/gemini/error_after_events), and gateways
answer with one JSON text where a stream was asked for, so whatever is not framed is read as JSON.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from backends import jsonio, sse
from backends.errors import ApiError
from backends.jsonio import Json, objects
from backends.stream import Chunk, Done, Event, Failed
from backends.vendors.gemini.response.completion import to_completion
from backends.vendors.gemini.response.response import (
    ChoiceEnd,
    Delta,
    ResponseContext,
    ResponseReader,
)

# Line breaks to JavaScript and Unicode, but not to JSON: some clients cut events at them. In UTF-8
# these bytes are nothing else, and in JSON they can only be in a string.
_LINE_BREAKS = (
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
    ("\u0085".encode(), rb"\u0085"),
)


class EventReader:
    """Bytes to Gemini's own events, which are JSON objects; ApiError for what is none."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._bare: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Json]:
        for block in self._splitter.feed(data):
            yield from self._read(block)

    def finish(self) -> Iterator[Json]:
        """What the end of the body completes."""
        yield from self._read(self._splitter.finish())
        if self._bare:
            yield from _events(b"".join(self._bare))

    def _read(self, block: bytes) -> Iterator[Json]:
        data = sse.data_of(block)
        if data is None or self._bare:
            # No event, but a comment or the like, unless a bare JSON text begins here.
            if self._bare or block.lstrip()[:1] in (b"{", b"["):
                self._bare.append(block)
        elif data.strip() != b"[DONE]":
            yield from _events(data)


def _events(text: bytes) -> list[Json]:
    """The events in a JSON text: one, or a list of them."""
    try:
        value: Any = jsonio.decode(text)
    except ValueError:
        raise ApiError(
            502, "Gemini's stream broke off or holds something that is no JSON"
        ) from None
    return objects(value if isinstance(value, list) else [value])


def read_whole(context: ResponseContext, body: bytes) -> Json:
    """A complete answer, streamed or not, as one chat completion; ApiError if it is none."""
    return to_completion(context, _read_events(body))


def _read_events(body: bytes) -> Iterator[Json]:
    reader = EventReader()
    yield from reader.feed(body)
    yield from reader.finish()


class StreamDecoder:
    """One streamed answer. The last chunks wait for the end of the body: calls may come late."""

    def __init__(self, context: ResponseContext) -> None:
        self._context = context
        self._events = EventReader()
        self._reader = ResponseReader(context)
        self._begun: set[int] = set()
        self._has_failed = False

    def feed(self, data: bytes) -> list[Event]:
        return self._read(self._events.feed(data))

    def finish(self) -> list[Event]:
        events = self._read(self._events.finish())
        if self._has_failed:
            return events
        try:
            deltas, choice_ends = self._reader.finish()
        except ApiError as error:
            return [*events, Failed(error)]
        events += self._chunks(deltas)
        for end in choice_ends:
            events += self._end(end, is_last=end is choice_ends[-1])
        return [*events, Done()]

    def _read(self, parsed: Iterable[Json]) -> list[Event]:
        events: list[Event] = []
        if self._has_failed:
            return events
        try:
            for event in parsed:
                events += self._chunks(self._reader.feed(event))
        except ApiError as error:
            self._has_failed = True
            events.append(Failed(error))
        return events

    def _chunks(self, deltas: Iterable[Delta]) -> list[Event]:
        return [
            event
            for index, value in deltas
            for event in (*self._begin(index), self._chunk(index, value))
        ]

    def _begin(self, index: int) -> list[Event]:
        """The chunk that a choice begins with."""
        if index in self._begun:
            return []
        self._begun.add(index)
        return [self._chunk(index, {"role": "assistant", "content": ""})]

    def _chunk(self, index: int, delta: Json) -> Chunk:
        choice = {"index": index, "delta": delta, "finish_reason": None}
        return Chunk(_write(self._head([choice])))

    def _end(self, end: ChoiceEnd, *, is_last: bool) -> list[Event]:
        """The last chunk of a choice and, behind the last choice, the usage if it was asked for."""
        index, finish_reason, native = end
        choice = {
            "index": index,
            "delta": {},
            "finish_reason": finish_reason,
            "native_finish_reason": native,
        }
        chunk = self._head([choice])
        usage = {"usage": self._reader.usage}
        # The proxy itself wants to know the usage, whether the client does or not.
        events: list[Event] = [*self._begin(index), Chunk(_write(chunk), chunk | usage)]
        if is_last and self._context.wants_usage:
            chunk = self._head([]) | usage
            events.append(Chunk(_write(chunk), chunk))
        return events

    def _head(self, choices: list[Json]) -> Json:
        return {**self._reader.head, "object": "chat.completion.chunk", "choices": choices}


def _write(chunk: Json) -> bytes:
    data = jsonio.encode(chunk)
    for raw, escaped in _LINE_BREAKS:
        data = data.replace(raw, escaped)
    return sse.block(data)

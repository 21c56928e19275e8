"""Decodes Gemini's event stream into chat completion chunks, without I/O.

A stream ends with its body, without `[DONE]`. A bare JSON error that is not an event can follow
good events (issue reports, tests/wire/gemini/error_after_events). Gateways answer a streamed
request with one JSON text. So data outside of events is read as JSON.
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

# Line breaks in JavaScript and Unicode, but not in JSON. Some clients split events at them. In
# UTF-8 the byte sequences are unambiguous, and in JSON they occur in strings only.
_LINE_BREAKS = (
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
    ("\u0085".encode(), rb"\u0085"),
)


class EventReader:
    """Splits bytes into Gemini's events, which are JSON objects. Raises ApiError for other data."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._bare: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Json]:
        for block in self._splitter.feed(data):
            yield from self._read(block)

    def finish(self) -> Iterator[Json]:
        """Read the rest at the end of the body."""
        yield from self._read(self._splitter.finish())
        if self._bare:
            yield from _events(b"".join(self._bare))

    def _read(self, block: bytes) -> Iterator[Json]:
        data = sse.data_of(block)
        if data is None or self._bare:
            # A comment or a blank line, unless a bare JSON text starts here.
            if self._bare or block.lstrip()[:1] in (b"{", b"["):
                self._bare.append(block)
        elif data.strip() != b"[DONE]":
            yield from _events(data)


def _events(text: bytes) -> list[Json]:
    """The events in a JSON text: one, or a list of them."""
    try:
        value: Any = jsonio.decode(text)
    except ValueError:
        raise ApiError(502, "Gemini's response is truncated or not valid JSON") from None
    return objects(value if isinstance(value, list) else [value])


def read_response(context: ResponseContext, body: bytes) -> Json:
    """Read a complete body, streamed or not. Raises ApiError if it is not a response."""
    return to_completion(context, _read_events(body))


def _read_events(body: bytes) -> Iterator[Json]:
    reader = EventReader()
    yield from reader.feed(body)
    yield from reader.finish()


class StreamDecoder:
    """Decodes one stream. The last chunks wait for the end of the body, as calls can come late."""

    def __init__(self, context: ResponseContext) -> None:
        self._context = context
        self._events = EventReader()
        self._reader = ResponseReader(context)
        self._started: set[int] = set()
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
            for event in (*self._start(index), self._chunk(index, value))
        ]

    def _start(self, index: int) -> list[Event]:
        """The first chunk of a choice, once."""
        if index in self._started:
            return []
        self._started.add(index)
        return [self._chunk(index, {"role": "assistant", "content": ""})]

    def _chunk(self, index: int, delta: Json) -> Chunk:
        choice = {"index": index, "delta": delta, "finish_reason": None}
        return Chunk(_write(self._head([choice])))

    def _end(self, end: ChoiceEnd, *, is_last: bool) -> list[Event]:
        """The last chunk of a choice; after the last choice also the usage, if it is wanted."""
        index, finish_reason, native = end
        choice = {
            "index": index,
            "delta": {},
            "finish_reason": finish_reason,
            "native_finish_reason": native,
        }
        chunk = self._head([choice])
        usage = {"usage": self._reader.usage}
        # The proxy records the usage even if the client does not want it.
        events: list[Event] = [*self._start(index), Chunk(_write(chunk), chunk | usage)]
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

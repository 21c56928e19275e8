"""From bytes to the JSON objects in them: one in most bodies, many in a stream."""

from dataclasses import dataclass, field

from backends import jsonio, sse
from backends.jsonio import Json, objects

STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
JSON_STARTS = (b"{", b"[")

_BLANK = b"\xef\xbb\xbf \t\r\n"
_MOST_BLANKS = 4096
"""Blank lines before JSON keep a connection alive."""


def may_be_readable(data: bytes) -> bool:
    """Whether this begins like JSON or like a stream of events."""
    return _start(data).startswith(JSON_STARTS + STREAM_STARTS)


def _start(data: bytes) -> bytes:
    return data[:_MOST_BLANKS].lstrip(_BLANK)


@dataclass(slots=True)
class Body:
    """`is_done`: the stream said `[DONE]`. `unreadable` is what was in it besides JSON."""

    events: list[Json] = field(default_factory=list)
    is_stream: bool = False
    is_done: bool = False
    unreadable: bytes = b""

    def add(self, text: bytes) -> None:
        """An object, or the objects of a list; ValueError if it is not JSON."""
        value = jsonio.decode(text)
        self.events += objects(value if isinstance(value, list) else [value])

    def add_leniently(self, text: bytes) -> None:
        try:
            self.add(text)
        except ValueError:
            self.unreadable = self.unreadable or text


def parse_body(data: bytes) -> Body:
    """ValueError if it is neither JSON nor a stream."""
    if _start(data).startswith(STREAM_STARTS):
        return _parse_stream(data)
    body = Body()
    body.add(data)
    return body


def _parse_stream(data: bytes) -> Body:
    """Behind Gemini's events a bare JSON error may follow that is no event."""
    body = Body(is_stream=True)
    bare: list[bytes] = []
    for block in sse.blocks_of(data):
        text = sse.data_of(block)
        if text is None:
            if bare or block.lstrip().startswith(JSON_STARTS):
                bare.append(block)
        elif text.strip() == b"[DONE]":
            body.is_done = True
        else:
            body.add_leniently(text)
    if bare:
        body.add_leniently(b"".join(bare))
    return body

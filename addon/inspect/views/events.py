"""Parses a body into JSON objects: one for most bodies, one for each event of a stream."""

from dataclasses import dataclass, field

from backends import jsonio, sse
from backends.jsonio import Json, objects

STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
JSON_STARTS = (b"{", b"[")

_BLANK = b"\xef\xbb\xbf \t\r\n"
_MAX_BLANKS = 4096
"""Some servers send blank lines before JSON to keep a connection alive."""


def may_be_readable(data: bytes) -> bool:
    """Whether the body starts like JSON or like an SSE stream."""
    return _start(data).startswith(JSON_STARTS + STREAM_STARTS)


def _start(data: bytes) -> bytes:
    return data[:_MAX_BLANKS].lstrip(_BLANK)


@dataclass(slots=True)
class Body:
    events: list[Json] = field(default_factory=list)
    is_stream: bool = False
    is_done: bool = False
    """The stream contains `[DONE]`."""
    unreadable: bytes = b""
    """The first part of the body that is not JSON."""

    def add(self, text: bytes) -> None:
        """Append an object, or the objects of a list. Raises ValueError if `text` is not JSON."""
        value = jsonio.decode(text)
        self.events += objects(value if isinstance(value, list) else [value])

    def add_leniently(self, text: bytes) -> None:
        try:
            self.add(text)
        except ValueError:
            self.unreadable = self.unreadable or text


def parse_body(data: bytes) -> Body:
    """Raises ValueError if the body is neither JSON nor a stream."""
    if _start(data).startswith(STREAM_STARTS):
        return _parse_stream(data)
    body = Body()
    body.add(data)
    return body


def _parse_stream(data: bytes) -> Body:
    """Parse events. After Gemini's a bare JSON error may follow, which is not an event."""
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

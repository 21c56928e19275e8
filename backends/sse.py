"""Server-sent events without I/O: cuts a byte stream into event blocks and reads a block's data.

A block is every byte up to and including the blank line that ends it, so that joining the blocks
gives back the stream. Only CR, LF and CRLF end a line: `str.splitlines` would also cut at U+2028
and others, which occur raw inside JSON strings.
"""

import re

# One answer may hold a whole image in one event; this only stops an upstream that never ends one.
MAX_EVENT_BYTES = 64 * 1024 * 1024

# In a growing buffer a CR counts only once the byte behind it is known: it may be half of a CRLF.
_GROWING_LINE_END = rb"(?:\r\n|\n|\r(?=[^\n]))"
_BLANK_LINE = re.compile(_GROWING_LINE_END + _GROWING_LINE_END)
_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Splitter:
    """Cuts bytes into blocks, whatever the pieces they arrive in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._at_start = True

    def is_whole(self, data: bytes) -> bool:
        """Whether `data` comes behind a block and is whole blocks of one line, the first with data.

        Most pieces of a stream are, and need not be cut.
        """
        return (
            not self._rest
            and not self._at_start
            and data.startswith(b"data:")
            and data.endswith(b"\n\n")
            and data.count(b"\n") == 2 * data.count(b"\n\n")
            and b"\r" not in data
        )

    def feed(self, data: bytes) -> list[bytes]:
        """The blocks completed by `data`; ValueError if one outgrows MAX_EVENT_BYTES."""
        self._rest += data
        if self._at_start and not self._drop_bom():
            return []
        blocks: list[bytes] = []
        start = 0
        while match := _BLANK_LINE.search(self._rest, max(start, self._searched)):
            blocks.append(bytes(self._rest[start : match.end()]))
            start = match.end()
        if start:
            del self._rest[:start]
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        # A blank line is at most four bytes long: the next search may start inside the last three.
        self._searched = max(0, len(self._rest) - 3)
        return blocks

    def finish(self) -> bytes:
        """What is left when the stream ends: a block without its blank line, or nothing."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._searched = 0
        return rest

    def _drop_bom(self) -> bool:
        """Drop a leading byte order mark, over which OpenAI's Python SDK loses the first event.

        False as long as too few bytes are here to tell.
        """
        if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
            return False
        if self._rest.startswith(_BOM):
            del self._rest[: len(_BOM)]
        self._at_start = False
        return True


def blocks_of(stream: bytes) -> list[bytes]:
    """The blocks of a complete stream; the last may lack its blank line."""
    splitter = Splitter()
    return [block for block in (*splitter.feed(stream), splitter.finish()) if block]


def data_of(block: bytes) -> bytes | None:
    """The value of the block's `data` field, its lines joined by LF; None if it has no such field.

    A block without one is a comment or a bare blank line: to be passed on, not to be understood.
    """
    values = []
    for line in _LINE_BREAK.split(block):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values) if values else None


def block(data: bytes, event: str | None = None) -> bytes:
    """One event block; `data` must not hold a line break (JSON made by `jsonio` never does)."""
    name = f"event: {event}\n".encode() if event else b""
    return b"%sdata: %s\n\n" % (name, data)


def comment(text: str) -> bytes:
    """A block that every client skips; it keeps the connection alive."""
    return f": {text}\n\n".encode()

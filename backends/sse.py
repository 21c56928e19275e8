"""Splits a stream of server-sent events into blocks, and reads a block's data. No I/O.

A block ends with its blank line, so joined blocks equal the stream. Only CR, LF and CRLF end a
line: `str.splitlines` also splits at U+2028 and others, which JSON strings contain raw.
"""

import re

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Stops an upstream that never ends an event. One event may contain an image."""

# In a growing buffer a CR counts once the next byte is known: it may be half of a CRLF.
_GROWING_LINE_END = rb"(?:\r\n|\n|\r(?=[^\n]))"
_BLANK_LINE = re.compile(_GROWING_LINE_END + _GROWING_LINE_END)
_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Splitter:
    """Splits bytes into blocks, however they are chunked."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._at_start = True

    def is_whole(self, data: bytes) -> bool:
        """Whether `data` follows a block and consists of complete one-line blocks.

        Most chunks of a stream do, and need no splitting.
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
        """The blocks that `data` completes. Raises ValueError if one exceeds MAX_EVENT_BYTES."""
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
        # A blank line has at most four bytes: the next search may start in the last three.
        self._searched = max(0, len(self._rest) - 3)
        return blocks

    def finish(self) -> bytes:
        """The rest at the end of the stream: a block without its blank line, or nothing."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._searched = 0
        return rest

    def _drop_bom(self) -> bool:
        """Drop a leading byte order mark: OpenAI's Python SDK would lose the first event.

        Returns False if too few bytes have arrived to decide.
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
    """The value of the block's `data` field, lines joined by LF; None if it has no such field.

    A block without one is a comment or a bare blank line. Forward it unread.
    """
    values = []
    for line in _LINE_BREAK.split(block):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values) if values else None


def block(data: bytes, event: str | None = None) -> bytes:
    """One event block. `data` must not contain a line break (JSON from `jsonio` never does)."""
    name = f"event: {event}\n".encode() if event else b""
    return b"%sdata: %s\n\n" % (name, data)


def comment(text: str) -> bytes:
    """A block that clients skip; it keeps the connection alive."""
    return f": {text}\n\n".encode()

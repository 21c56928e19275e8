"""Decodes bodies within a limit: a few bytes may decode to gigabytes."""

import zlib
from collections.abc import Callable, Mapping

import brotli  # type: ignore[import-untyped]  # it has no types
import zstandard

Decode = Callable[[bytes, int], bytes]
"""Decodes at most so many bytes of a body; raises if the body is malformed or truncated."""

DecodeError = (zlib.error, brotli.error, zstandard.ZstdError)

_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32

MAX_MEMBERS = 10_000
"""Of a gzip body. An empty member has 20 bytes, and each costs as much as a short request."""
_STEP = 65536
"""Bytes to decode at once; zlib copies the rest of them behind each member."""


class TooLarge(ValueError):
    """A decoded body is over the limit."""


class Inflate:
    """Decodes deflate's formats piece by piece. gzip may have several members (RFC 1952 2.2)."""

    def __init__(self, window_bits: int = _GZIP_OR_ZLIB) -> None:
        self._window_bits = window_bits
        self._member = zlib.decompressobj(window_bits)
        self._members = 1

    def feed(self, data: bytes, limit: int) -> bytes:
        """Decode at most `limit` bytes; what is over the limit is lost."""
        output = bytearray()
        for start in range(0, len(data), _STEP):
            rest = data[start : start + _STEP]
            while rest and len(output) < limit:
                if self._member.eof and not (rest := self._next_member(rest)):
                    break
                output += self._member.decompress(rest, limit - len(output))
                rest = self._member.unused_data
        return bytes(output)

    @property
    def is_complete(self) -> bool:
        return self._member.eof

    def _next_member(self, rest: bytes) -> bytes:
        """Start the next member. Zeros are padding, as in `gzip`."""
        rest = rest.lstrip(b"\0")
        if rest:
            self._members += 1
            if self._members > MAX_MEMBERS:
                raise zlib.error(f"it has more than {MAX_MEMBERS} members")
            self._member = zlib.decompressobj(self._window_bits)
        return rest


def _zlib(window_bits: int) -> Decode:
    def decode(body: bytes, limit: int) -> bytes:
        decoder = Inflate(window_bits)
        data = decoder.feed(body, limit)
        if not decoder.is_complete and len(data) < limit:
            raise zlib.error("it is truncated")
        return data

    return decode


def _deflate(body: bytes, limit: int) -> bytes:
    # The standard means zlib's format; some senders omit its header.
    try:
        return _zlib(_ZLIB)(body, limit)
    except zlib.error:
        return _zlib(_RAW)(body, limit)


def _brotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    data: bytes = decoder.process(body, output_buffer_limit=limit)
    if not decoder.is_finished() and len(data) < limit:
        raise brotli.error("it is truncated")
    return data


def _zstd(body: bytes, limit: int) -> bytes:
    data = zstandard.ZstdDecompressor().stream_reader(body).read(limit)
    if len(data) < limit:  # a whole body, or a truncated one
        decoder = zstandard.ZstdDecompressor().decompressobj()
        decoder.decompress(body)
        if not decoder.eof:
            raise zstandard.ZstdError("it is truncated")
    return data


DECODERS: Mapping[str, Decode] = {
    "gzip": _zlib(_GZIP),
    "x-gzip": _zlib(_GZIP),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


class UnknownCoding(ValueError):
    """A content-encoding without a decoder."""


class Malformed(ValueError):
    """A body does not have the format that its content-encoding names."""


def codings_of(content_encoding: str) -> list[str]:
    """The codings of a body in the order in which they were applied, without `identity`."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return [name for name in names if name not in ("", "identity")]


def decode(body: bytes, content_encoding: str, max_bytes: int) -> bytes:
    """Undo all codings. Raises UnknownCoding, Malformed or TooLarge."""
    for coding in reversed(codings_of(content_encoding)):
        if coding not in DECODERS:
            raise UnknownCoding(
                f"Unknown content-encoding {coding}; known are {', '.join(DECODERS)}"
            )
        try:
            body = DECODERS[coding](body, max_bytes + 1)
        except DecodeError as error:
            raise Malformed(f"The body is not valid {coding}: {error}") from None
    if len(body) > max_bytes:
        raise TooLarge(f"The body is larger than {max_bytes / 2**20:g} MiB")
    return body


class StreamDecoder:
    """Undoes the coding of a stream piece by piece. Raises Malformed, UnknownCoding or TooLarge.

    The proxy asks upstreams for no coding, so only the usual ones of odd servers are known.
    """

    def __init__(self, content_encoding: str, max_piece_bytes: int) -> None:
        self._codings = codings_of(content_encoding)
        self._inflate = Inflate()
        self._max = max_piece_bytes

    def feed(self, data: bytes) -> bytes:
        if not self._codings:
            return data
        if self._codings not in (["gzip"], ["x-gzip"], ["deflate"]):
            raise UnknownCoding(f"content-encoding {', '.join(self._codings)!r} is not accepted")
        try:
            output = self._inflate.feed(data, self._max + 1)
        except zlib.error as error:
            raise Malformed(str(error)) from None
        if len(output) > self._max:
            raise TooLarge(f"a piece decodes to more than {self._max / 2**20:g} MiB")
        return output

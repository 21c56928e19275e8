"""Request bodies, their codings undone within bounds: a few bytes may stand for gigabytes."""

import zlib
from collections.abc import Callable, Mapping

import brotli  # type: ignore[import-untyped]  # it has no types
import zstandard
from mitmproxy import http

from backends.errors import ApiError, bad_request

Decode = Callable[[bytes, int], bytes]
"""Gives at most so many bytes of a body; raises if it is broken or cut off."""


def _zlib(window_bits: int) -> Decode:
    def decode(body: bytes, most: int) -> bytes:
        decoder = zlib.decompressobj(window_bits)
        data = decoder.decompress(body, most)
        if not decoder.eof and len(data) < most:
            raise zlib.error("it is cut off")
        return data

    return decode


def _deflate(body: bytes, most: int) -> bytes:
    # The standard means zlib's format; some senders leave its head out.
    try:
        return _zlib(zlib.MAX_WBITS)(body, most)
    except zlib.error:
        return _zlib(-zlib.MAX_WBITS)(body, most)


def _brotli(body: bytes, most: int) -> bytes:
    decoder = brotli.Decompressor()
    data: bytes = decoder.process(body, output_buffer_limit=most)
    if not decoder.is_finished() and len(data) < most:
        raise brotli.error("it is cut off")
    return data


def _zstd(body: bytes, most: int) -> bytes:
    data = zstandard.ZstdDecompressor().stream_reader(body).read(most)
    if len(data) < most:  # it may be the whole body, or all that is left of one
        decoder = zstandard.ZstdDecompressor().decompressobj()
        decoder.decompress(body)
        if not decoder.eof:
            raise zstandard.ZstdError("it is cut off")
    return data


DECODERS: Mapping[str, Decode] = {
    "gzip": _zlib(zlib.MAX_WBITS | 16),
    "x-gzip": _zlib(zlib.MAX_WBITS | 16),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def read(request: http.Request, max_bytes: int) -> bytes:
    """A request's body without its codings; ApiError if it is broken or larger than that."""
    body = request.raw_content or b""
    for name in reversed(request.headers.get("content-encoding", "").split(",")):
        coding = name.strip().lower()
        if coding in ("", "identity"):
            continue
        if coding not in DECODERS:
            known = ", ".join(DECODERS)
            raise ApiError(415, f"Unknown content-encoding {coding}; known are {known}")
        try:
            body = DECODERS[coding](body, max_bytes + 1)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise bad_request(f"The body is not valid {coding}: {error}") from None
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    return body


def too_large(max_bytes: int) -> ApiError:
    """For a body over the limit."""
    mib = max_bytes / 2**20
    return ApiError(413, f"The request body is larger than {mib:g} MiB (setting max_body_mib)")

"""Decodes request bodies within a limit: a few bytes may decode to gigabytes."""

import zlib
from collections.abc import Callable, Mapping

import brotli  # type: ignore[import-untyped]  # it has no types
import zstandard
from mitmproxy import http

from backends.errors import ApiError, bad_request

Decode = Callable[[bytes, int], bytes]
"""Decodes at most so many bytes of a body; raises if the body is malformed or truncated."""


def _zlib(window_bits: int) -> Decode:
    def decode(body: bytes, limit: int) -> bytes:
        decoder = zlib.decompressobj(window_bits)
        data = decoder.decompress(body, limit)
        if not decoder.eof and len(data) < limit:
            raise zlib.error("it is truncated")
        return data

    return decode


def _deflate(body: bytes, limit: int) -> bytes:
    # The standard means zlib's format; some senders omit its header.
    try:
        return _zlib(zlib.MAX_WBITS)(body, limit)
    except zlib.error:
        return _zlib(-zlib.MAX_WBITS)(body, limit)


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
    "gzip": _zlib(zlib.MAX_WBITS | 16),
    "x-gzip": _zlib(zlib.MAX_WBITS | 16),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def read(request: http.Request, max_bytes: int) -> bytes:
    """The decoded body of a request. Raises ApiError if it is malformed or over the limit."""
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
    """The error for a body over the limit."""
    mib = max_bytes / 2**20
    return ApiError(413, f"The request body is larger than {mib:g} MiB (setting max_body_mib)")

"""Compressed request bodies: read as they are meant, or refused, and never larger than allowed."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given, strategies as st
from mitmproxy.http import Request

from addon.exchange import request_body
from backends.errors import ApiError

LIMIT = 100_000


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


def zstd_of_unknown_size(data: bytes) -> bytes:
    encoder = zstandard.ZstdCompressor().compressobj()
    return encoder.compress(data) + encoder.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "none": ("", bytes),
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "old name": ("X-GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd stream": ("zstd", zstd_of_unknown_size),
    "two": ("gzip, zstd", lambda data: zstd_of_unknown_size(gzip.compress(data))),
}
COMPRESSED = [name for name in ENCODERS if name not in ("none", "identity")]


def request(body: bytes, coding: str) -> Request:
    made = Request.make("POST", "http://x/", body)
    made.headers["content-encoding"] = coding
    made.raw_content = body
    return made


@pytest.mark.parametrize("name", ENCODERS)
@given(st.binary(max_size=500))
def test_read(name: str, data: bytes) -> None:
    coding, encode = ENCODERS[name]
    assert request_body.read(request(encode(data), coding), LIMIT) == data


@pytest.mark.parametrize("name", ENCODERS)
def test_the_limit_is_of_the_decoded_body(name: str) -> None:
    coding, encode = ENCODERS[name]
    assert len(request_body.read(request(encode(bytes(LIMIT)), coding), LIMIT)) == LIMIT
    for size in (LIMIT + 1, 50 * LIMIT):
        with pytest.raises(ApiError) as caught:
            request_body.read(request(encode(bytes(size)), coding), LIMIT)
        assert caught.value.status == 413


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_broken_body(name: str) -> None:
    coding, encode = ENCODERS[name]
    good = encode(b"hello world" * 50)
    for broken in (b"", b"{}", good[:-5], b"xx" + good):
        with pytest.raises(ApiError) as caught:
            request_body.read(request(broken, coding), LIMIT)
        assert caught.value.status == 400
        assert "The body is not valid" in caught.value.message


def test_an_unknown_coding() -> None:
    with pytest.raises(ApiError, match="Unknown content-encoding snappy; known are gzip") as caught:
        request_body.read(request(b"", "snappy"), LIMIT)
    assert caught.value.status == 415

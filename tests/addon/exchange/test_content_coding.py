"""gzip with several members, and streams that are decoded piece by piece."""

import gzip
import itertools
import zlib

import pytest
from hypothesis import given, strategies as st

from addon.exchange.content_coding import (
    MAX_MEMBERS,
    Malformed,
    StreamDecoder,
    TooLarge,
    UnknownCoding,
    decode,
)

LIMIT = 100_000
MEMBERS = st.lists(st.binary(max_size=200), min_size=1, max_size=5)


@given(MEMBERS, st.integers(0, 30))
def test_all_members_of_a_body_are_read(members: list[bytes], padding: int) -> None:
    """RFC 1952 2.2; zeros behind the last are padding."""
    body = b"".join(map(gzip.compress, members)) + bytes(padding)
    assert decode(body, "gzip", LIMIT) == b"".join(members)


@given(MEMBERS, st.lists(st.integers(0, 2000)))
def test_all_members_of_a_stream_are_read(members: list[bytes], cuts: list[int]) -> None:
    body = b"".join(map(gzip.compress, members))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    decoder = StreamDecoder("gzip", LIMIT)
    pieces = [decoder.feed(body[start:end]) for start, end in itertools.pairwise(bounds)]
    assert b"".join(pieces) == b"".join(members)


@pytest.mark.parametrize("end", [b"x", b"\x1f\x8b", gzip.compress(b"more", mtime=0)[:-3]])
def test_no_broken_member_is_dropped(end: bytes) -> None:
    with pytest.raises(Malformed):
        decode(gzip.compress(b"first", mtime=0) + end, "gzip", LIMIT)


def test_the_limit_holds_over_all_members() -> None:
    members = gzip.compress(bytes(LIMIT // 2)) * 2
    assert len(decode(members, "gzip", LIMIT)) == LIMIT
    with pytest.raises(TooLarge):
        decode(members + gzip.compress(b"x", mtime=0), "gzip", LIMIT)


def test_members_are_bounded() -> None:
    empty = gzip.compress(b"", mtime=0)
    assert decode(empty * MAX_MEMBERS, "gzip", LIMIT) == b""
    with pytest.raises(Malformed, match="more than 10000 members"):
        decode(empty * (MAX_MEMBERS + 1), "gzip", LIMIT)


def test_a_piece_of_a_stream_is_bounded() -> None:
    decoder = StreamDecoder("deflate", LIMIT)
    with pytest.raises(TooLarge):
        decoder.feed(zlib.compress(bytes(LIMIT + 1)))


def test_streams_without_a_known_coding() -> None:
    assert StreamDecoder(" identity ", LIMIT).feed(b"x") == b"x"
    with pytest.raises(UnknownCoding, match="rot13"):
        StreamDecoder("rot13", LIMIT).feed(b"x")
    with pytest.raises(Malformed):
        StreamDecoder("gzip", LIMIT).feed(b"no gzip")

"""Blocks: no byte is lost, and splits are right for any chunks."""

import itertools

import pytest
from hypothesis import given, strategies as st

from backends import sse

STREAMS = {
    "lf": b'data: {"a":1}\n\n: comment\n\ndata: [DONE]\n\n',
    "crlf": b"data: 1\r\n\r\nevent: x\r\ndata: 2\r\n\r\n",
    "cr": b"data: 1\r\rdata: 2\r\r: end\n\n",
    "mixed": b"data: 1\n\r\ndata: 2\r\n\ndata: 3\n\n",
    "unicode": 'data: {"a":"é😀\u2028\u2029\x85"}\n\ndata: b\n\n'.encode(),
    "extra blank lines": b"\n\n\ndata: 1\n\n\n\ndata: 2\n\n",
}
DATA = {
    "lf": [b'{"a":1}', None, b"[DONE]"],
    "crlf": [b"1", b"2"],
    "cr": [b"1", b"2", None],
    "mixed": [b"1", b"2", b"3"],
    "unicode": ['{"a":"é😀\u2028\u2029\x85"}'.encode(), b"b"],
    "extra blank lines": [None, b"1", None, b"2"],
}


def blocks_of(pieces: list[bytes]) -> list[bytes]:
    splitter = sse.Splitter()
    return [block for piece in pieces for block in splitter.feed(piece)] + [splitter.finish()]


@pytest.mark.parametrize("name", STREAMS)
def test_whole_and_byte_by_byte(name: str) -> None:
    stream = STREAMS[name]
    whole = blocks_of([stream])
    assert b"".join(whole) == stream
    assert [sse.data_of(block) for block in whole if block] == DATA[name]
    assert blocks_of([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(
    st.sampled_from(sorted(STREAMS)), st.lists(st.integers(min_value=0, max_value=80), max_size=6)
)
def test_random_splits(name: str, cuts: list[int]) -> None:
    stream = STREAMS[name]
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert blocks_of(pieces) == blocks_of([stream])


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_bytes_do_not_change(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    if not stream.startswith(b"\xef\xbb\xbf"):
        assert b"".join(blocks_of(pieces)) == stream


def test_a_byte_order_mark_is_dropped() -> None:
    assert blocks_of([b"\xef", b"\xbb\xbfda", b"ta: 1\n\n"]) == [b"data: 1\n\n", b""]


def test_a_completed_event_is_not_held_back() -> None:
    splitter = sse.Splitter()
    assert splitter.feed(b"data: 1\n\nda") == [b"data: 1\n\n"]
    assert splitter.feed(b"ta: 2\r\n\r\n") == [b"data: 2\r\n\r\n"]


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        sse.Splitter().feed(b"data: " + b"x" * 10)


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"data:x\n\n", b"x"),
        (b"data: x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"id: 1\nevent: e\ndata: a\nretry: 3\n\n", b"a"),
        (b"data\n\n", b""),
        (b": data: x\n\n", None),
        (b"\n\n", None),
    ],
)
def test_data_of(block: bytes, data: bytes | None) -> None:
    assert sse.data_of(block) == data

"""Converts the sources of a web search to OpenAI's annotations on a message."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from backends.jsonio import Json, count, fields, objects, string


def to_annotations(metadata: object, text: str) -> list[Json]:
    """Convert the `groundingMetadata` of a response with this text to `url_citation`s."""
    supports = objects(fields(metadata).get("groundingSupports"))
    return list(_citations(fields(metadata).get("groundingChunks"), supports, text))


def _citations(sources: object, supports: list[Json], text: str) -> Iterator[Json]:
    ends = _ends(text) if supports else []
    for support in supports:
        position = _position(fields(support.get("segment")), ends)
        for source in _pick(sources, support.get("groundingChunkIndices")):
            if url := string(source.get("uri")):
                citation = {"url": url, "title": string(source.get("title")) or url, **position}
                yield {"type": "url_citation", "url_citation": citation}


def _pick(sources: object, indices: object) -> list[Json]:
    """The web pages in `groundingChunks` with these indices."""
    chosen = [
        sources[index]
        for index in (indices if isinstance(indices, list) else ())
        if isinstance(sources, list) and isinstance(index, int) and 0 <= index < len(sources)
    ]
    return objects([source.get("web") for source in objects(chosen)])


def _position(segment: Json, ends: list[int]) -> Json:
    """Convert positions: Gemini counts UTF-8 bytes (API reference, Segment), OpenAI characters."""
    names = {"start_index": "startIndex", "end_index": "endIndex"}
    return {ours: bisect_right(ends, count(segment.get(theirs))) for ours, theirs in names.items()}


def _ends(text: str) -> list[int]:
    """Where each character ends, in bytes of UTF-8."""
    return list(accumulate(len(each.encode("utf-8", "surrogatepass")) for each in text))

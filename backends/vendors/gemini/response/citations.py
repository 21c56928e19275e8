"""Converts the sources of a web search to OpenAI's annotations on a message."""

from collections.abc import Iterator

from backends.jsonio import Json, fields, objects, string


def to_annotations(metadata: object, text: str) -> list[Json]:
    """Convert the `groundingMetadata` of a response with this text to `url_citation`s."""
    return list(_citations(fields(metadata), text.encode("utf-8", "surrogatepass")))


def _citations(metadata: Json, text: bytes) -> Iterator[Json]:
    sources = metadata.get("groundingChunks")
    for support in objects(metadata.get("groundingSupports")):
        position = _position(fields(support.get("segment")), text)
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


def _position(segment: Json, text: bytes) -> Json:
    """Convert positions: Gemini counts UTF-8 bytes (API reference, Segment), OpenAI characters."""
    names = {"start_index": "startIndex", "end_index": "endIndex"}
    return {ours: _characters(text, segment.get(theirs)) for ours, theirs in names.items()}


def _characters(text: bytes, count: object) -> int:
    return len(text[:count].decode("utf-8", "ignore")) if isinstance(count, int) else 0

"""Sources that a search found, as OpenAI's annotations on a message."""

from collections.abc import Iterator

from backends.jsonio import Json, objects, string


def to_annotations(metadata: object, text: str) -> list[Json]:
    """The `groundingMetadata` of an answer with this text as `url_citation`s."""
    if not isinstance(metadata, dict):
        return []
    return list(_citations(metadata, text.encode("utf-8", "surrogatepass")))


def _citations(metadata: Json, text: bytes) -> Iterator[Json]:
    sources = metadata.get("groundingChunks")
    for support in objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        place = _place(segment if isinstance(segment, dict) else {}, text)
        for source in _pick(sources, support.get("groundingChunkIndices")):
            if url := string(source.get("uri")):
                citation = {"url": url, "title": string(source.get("title")) or url, **place}
                yield {"type": "url_citation", "url_citation": citation}


def _pick(sources: object, indices: object) -> list[Json]:
    """The pages among `groundingChunks` that a support names by their indices."""
    chosen = [
        sources[index]
        for index in (indices if isinstance(indices, list) else ())
        if isinstance(sources, list) and isinstance(index, int) and 0 <= index < len(sources)
    ]
    return objects([source.get("web") for source in objects(chosen)])


def _place(segment: Json, text: bytes) -> Json:
    """Gemini counts bytes of UTF-8 (API reference, Segment), OpenAI characters."""
    names = {"start_index": "startIndex", "end_index": "endIndex"}
    return {ours: _characters(text, segment.get(theirs)) for ours, theirs in names.items()}


def _characters(text: bytes, count: object) -> int:
    return len(text[:count].decode("utf-8", "ignore")) if isinstance(count, int) else 0

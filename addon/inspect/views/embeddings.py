"""Reads embeddings requests, and the number and size of vectors in responses."""

from collections import Counter
from collections.abc import Iterator, Sequence

from addon.inspect.views import gemini, openai
from addon.inspect.views.blocks import as_object, usage_messages
from addon.inspect.views.conversation import ASSISTANT, Conversation, Message, text_message
from backends.jsonio import Json, objects

INPUT = "input"
OUTSIDE_PARAMETERS = frozenset({"input", "requests"})
OUTSIDE_HEAD = frozenset({"data", "embeddings", "usage", "usageMetadata", "object"})


def read_request(events: Sequence[Json]) -> Conversation:
    request = events[0]
    messages = list(_inputs(request["input"])) if "input" in request else []
    for each in objects(request.get("requests")):  # Gemini: `batchEmbedContents`
        parts = objects(as_object(each.get("content")).get("parts"))
        messages.append(Message(INPUT, list(gemini.blocks_of(parts))))
    parameters = {name: value for name, value in request.items() if name not in OUTSIDE_PARAMETERS}
    return Conversation(messages, parameters)


def _inputs(value: object) -> Iterator[Message]:
    """One input or several; each is a text, token numbers, or content parts."""
    if not isinstance(value, list) or all(isinstance(each, int) for each in value):
        value = [value]
    for each in value:
        if isinstance(each, list):
            yield text_message(INPUT, f"{len(each):,} tokens")
        else:
            content = each.get("content") if isinstance(each, dict) else each
            yield Message(INPUT, list(openai.content_of(content)))


def read_response(events: Sequence[Json]) -> Conversation | None:
    """Returns None if it is not a list of embeddings."""
    response = events[0]
    items = objects(response.get("data")) or objects(response.get("embeddings"))
    vectors = [vector for each in items if (vector := each.get("embedding") or each.get("values"))]
    if not vectors:
        return None
    sizes = Counter(map(_size, vectors))
    lines = [f"embeddings: {count:,}, of {size} each" for size, count in sizes.items()]
    head = {name: value for name, value in response.items() if name not in OUTSIDE_HEAD}
    usage = usage_messages(response.get("usage") or response.get("usageMetadata"))
    return Conversation([text_message(ASSISTANT, "\n".join(lines)), *usage], head)


def _size(vector: object) -> str:
    """A base64 string holds packed floats of four bytes."""
    if isinstance(vector, str):
        return f"{len(vector.rstrip('=')) * 3 // 16:,} numbers"
    return f"{len(vector):,} numbers" if isinstance(vector, list) else "an unknown size"

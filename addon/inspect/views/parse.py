"""Parses a body into a conversation; a table maps a telling field to its reader."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from addon.inspect.views import embeddings, gemini, openai, responses
from addon.inspect.views.blocks import error_message
from addon.inspect.views.conversation import ASSISTANT, ERROR, Conversation, text_message
from addon.inspect.views.events import Body, parse_body
from addon.inspect.views.json_text import clipped
from backends.jsonio import Json

MAX_UNREADABLE = 500

Reader = Callable[[Sequence[Json]], Conversation | None]
"""Reads the events of a stream, or the only object of a body. Returns None if it says nothing."""


Clean = Callable[[str], str]
"""Removes secrets from a text."""


class Shape(NamedTuple):
    read: Reader
    has_done: bool = False
    """A complete stream ends with `[DONE]`."""


def _read_errors(events: Sequence[Json]) -> Conversation | None:
    errors = [error_message(each["error"]) for each in events if each.get("error")]
    return Conversation(errors) if errors else None


# By a field that one of the events has; the first match wins.
SHAPES: Mapping[str, Shape] = {
    "messages": Shape(openai.read_request),
    "choices": Shape(openai.read_response, has_done=True),
    "contents": Shape(gemini.read_request),
    "candidates": Shape(gemini.read_response),
    "promptFeedback": Shape(gemini.read_response),
    "output": Shape(responses.read_response),
    "response": Shape(responses.read_response),
    "input": Shape(responses.read_request),
    "requests": Shape(embeddings.read_request),
    "data": Shape(embeddings.read_response),
    "embeddings": Shape(embeddings.read_response),
    "usageMetadata": Shape(gemini.read_response),
    "error": Shape(_read_errors),
}


def read(data: bytes, clean: Clean = str) -> Conversation | None:
    """Returns None if the body is neither a request nor a response.

    `clean` removes secrets: events of a stream that are clean may add up to one.
    """
    try:
        body = parse_body(data)
    except ValueError:
        return None
    for name, shape in SHAPES.items():
        is_fit = any(name in event for event in body.events)
        if is_fit and (conversation := shape.read(body.events)):
            return _cleaned(_with_errors(conversation, body, shape), clean)
    return None


def _cleaned(conversation: Conversation, clean: Clean) -> Conversation:
    messages = [
        message._replace(blocks=[each._replace(text=clean(each.text)) for each in message.blocks])
        for message in conversation.messages
    ]
    return conversation._replace(messages=messages)


def _with_errors(conversation: Conversation, body: Body, shape: Shape) -> Conversation:
    """Append error messages for unreadable events and a truncated stream."""
    messages = [*conversation.messages]
    if body.unreadable:
        start = clipped(body.unreadable.decode("utf-8", "replace"), MAX_UNREADABLE)
        messages.append(
            text_message(ERROR, f"The stream holds something that is not JSON: {start}")
        )
    has_error = any(message.role == ERROR for message in conversation.messages)
    if body.is_stream and shape.has_done and not (body.is_done or has_error):
        messages.append(text_message(ERROR, "The stream ended without [DONE]."))
    return conversation._replace(messages=messages)


class ToolCall(NamedTuple):
    name: str
    arguments: str
    """Indented JSON, or the text as it is if it is not JSON."""


class ModelResponse(NamedTuple):
    text: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    error: str = ""


def read_response(data: bytes, clean: Clean = str) -> ModelResponse:
    """The model's response, from any API; empty if the body is unreadable."""
    conversation = read(data, clean)
    messages = conversation.messages if conversation else ()
    blocks = [
        block for message in messages if message.role == ASSISTANT for block in message.blocks
    ]
    errors = [
        block.text for message in messages if message.role == ERROR for block in message.blocks
    ]
    return ModelResponse(
        "\n".join(block.text for block in blocks if block.kind in ("text", "refusal")),
        "\n".join(block.text for block in blocks if block.kind == "thinking"),
        tuple(ToolCall(block.title, block.text) for block in blocks if block.kind == "call"),
        "\n".join(errors),
    )

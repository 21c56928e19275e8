"""A whole answer of Gemini as one chat completion: the sum of what a stream would have carried."""

from collections.abc import Iterable

from backends.jsonio import Json
from backends.vendors.gemini.response import media
from backends.vendors.gemini.response.response import ResponseContext, ResponseReader


def to_completion(context: ResponseContext, events: Iterable[Json]) -> Json:
    """All events of an answer as one chat completion; ApiError if they tell of a failure."""
    reader = ResponseReader(context)
    deltas = [delta for event in events for delta in reader.feed(event)]
    last, choice_ends = reader.finish()
    choices = []
    for index, finish_reason, native in choice_ends:
        values = [delta.value for delta in [*deltas, *last] if delta.choice == index]
        choices.append(
            {
                "index": index,
                "message": _message(values, finish_reason, context.created),
                "logprobs": None,
                "finish_reason": finish_reason,
                "native_finish_reason": native,
            }
        )
    head = {**reader.head, "object": "chat.completion"}
    return {**head, "choices": choices, "usage": reader.usage}


def _message(deltas: list[Json], finish_reason: str, created: int) -> Json:
    """The message that a choice's deltas make up."""
    message: Json = {"role": "assistant", "content": "", "refusal": None}
    for delta in deltas:
        for key, value in delta.items():
            if isinstance(value, str):
                message[key] = (message.get(key) or "") + value
            elif isinstance(value, list):
                message[key] = message.get(key, []) + value
            elif key != "audio":
                message[key] = value
    if "tool_calls" in message:
        message["tool_calls"] = [_without_index(call) for call in message["tool_calls"]]
    if audio := [delta["audio"] for delta in deltas if "audio" in delta]:
        message["audio"] = media.to_speech(audio, created)
    if not message["content"] and finish_reason not in ("stop", "length"):
        message["content"] = None
    return message


def _without_index(call: Json) -> Json:
    """A call of a delta as it stands in a message."""
    return {key: call[key] for key in call if key != "index"}

"""Joins the events of a Gemini response to one chat completion."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from typing import Any

from backends.jsonio import Json
from backends.vendors.gemini.response import media
from backends.vendors.gemini.response.response import ResponseContext, ResponseReader


def to_completion(context: ResponseContext, events: Iterable[Json]) -> Json:
    """Read all events of a response. Raises ApiError if they report a failure."""
    reader = ResponseReader(context)
    deltas = [delta for event in events for delta in reader.feed(event)]
    last, choice_ends = reader.finish()
    values: defaultdict[int, list[Json]] = defaultdict(list)
    for delta in [*deltas, *last]:
        values[delta.choice].append(delta.value)
    choices = []
    for index, finish_reason, native in choice_ends:
        choices.append(
            {
                "index": index,
                "message": _message(values[index], finish_reason, context.created),
                "logprobs": None,
                "finish_reason": finish_reason,
                "native_finish_reason": native,
            }
        )
    head = {**reader.head, "object": "chat.completion"}
    return {**head, "choices": choices, "usage": reader.usage}


def _message(deltas: list[Json], finish_reason: str, created: int) -> Json:
    """Join the deltas of a choice to its message."""
    message: Json = {"role": "assistant", "content": "", "refusal": None}
    values: defaultdict[str, list[Any]] = defaultdict(list)
    for delta in deltas:
        for key, value in delta.items():
            values[key].append(value)
    audio = values.pop("audio", [])
    message |= {key: _join(pieces) for key, pieces in values.items()}
    if "tool_calls" in message:
        message["tool_calls"] = [_without_index(call) for call in message["tool_calls"]]
    if audio:
        message["audio"] = media.to_speech(audio, created)
    if not message["content"] and finish_reason not in ("stop", "length"):
        message["content"] = None
    return message


def _join(pieces: list[Any]) -> Any:
    """The sum of strings or lists; the last of other values."""
    if isinstance(pieces[0], str):
        return "".join(pieces)
    return list(chain.from_iterable(pieces)) if isinstance(pieces[0], list) else pieces[-1]


def _without_index(call: Json) -> Json:
    """Convert a delta's tool call to a message's."""
    return {key: call[key] for key in call if key != "index"}

"""Requests and responses for tests. OpenAI's SDK checks every response and stream."""

import itertools
import json
from collections.abc import Iterable
from functools import cache
from typing import Any, get_args

from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import (
    Response,
    response_stream_event,
)

from backends import jsonio, sse
from backends.dialects.responses.dialect import Responses, ResponsesEncoder, ResponsesRequest
from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError

Json = dict[str, Any]

NOW = 1_700_000_000
SEALED = ["reasoning.encrypted_content"]
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def make_responses(store: ResponseStore | None = None) -> Responses:
    numbers = itertools.count(1)
    return Responses(store or ResponseStore(), lambda: NOW + 0.5, lambda: f"{next(numbers):04}")


def ask(
    input: Any = "hi", *, responses: Responses | None = None, **parameters: Any
) -> ResponsesRequest:
    body = {"model": "m", "input": input, **parameters}
    return (responses or make_responses())(jsonio.encode(body))


def completion(message: Json, finish_reason: str = "stop", **more: Any) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "gen-1", "model": "served", "created": 1, "choices": [choice], **more}


def chunk(delta: Json, finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    data = {"id": "gen-1", "model": "served", "created": 1, "choices": [choice], **more}
    return sse.block(jsonio.encode(data))


def usage_chunk(**usage: Any) -> bytes:
    return sse.block(jsonio.encode({"id": "gen-1", "choices": [], "usage": usage}))


def call(id: str, name: str, arguments: str, **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": function, **more}


def fragment(index: int, arguments: str, **more: Any) -> Json:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}, **more}]}


def stream(request: ResponsesRequest, *chunks: bytes, error: ApiError | None = None) -> list[Json]:
    """The checked events of a response."""
    encoder: ResponsesEncoder = request.encoder()
    blocks = [encoder.chunk(each) for each in chunks]
    blocks.append(encoder.error(error) if error else encoder.done())
    events = read_events(b"".join(blocks))
    check(events)
    return events


def read_events(text: bytes) -> list[Json]:
    events = []
    splitter = sse.Splitter()
    for block in splitter.feed(text):
        data = sse.data_of(block)
        if data is not None:
            event: Json = json.loads(data)
            assert block.startswith(f"event: {event['type']}\n".encode())
            events.append(event)
    assert splitter.finish() == b""
    return events


def types_of(events: Iterable[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


@cache
def _classes() -> dict[str, Any]:
    members = get_args(get_args(response_stream_event.ResponseStreamEvent)[0])
    return {get_args(each.model_fields["type"].annotation)[0]: each for each in members}


def check(events: list[Json]) -> None:
    """Check the shape and order of the events, and that the SDK can assemble them.

    `error.code` is free: OpenAI sends more codes than its SDK knows.
    """
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        judged = json.loads(json.dumps(event))
        if event["type"] == "response.failed":
            judged["response"]["error"]["code"] = "server_error"
        parsed = _classes()[event["type"]].model_validate(judged)
        state.handle_event(parsed)
    assert types_of(events)[:2] == ["created", "in_progress"]
    assert [event["type"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    final = events[-1]["response"]
    items = _check_items(events)
    assert items == final["output"]
    assert events[0]["response"]["output"] == events[1]["response"]["output"] == []
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    if final["status"] == "completed":
        reached = state._completed_response.to_dict(exclude_unset=True)["output"]
        assert _without(reached, "parsed", "parsed_arguments") == final["output"]
        Response.model_validate(final)


def _without(value: Any, *names: str) -> Any:
    """A JSON value without what the SDK adds."""
    if isinstance(value, list):
        return [_without(each, *names) for each in value]
    if isinstance(value, dict):
        return {name: _without(each, *names) for name, each in value.items() if name not in names}
    return value


_WHOLE = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_summary_text": "text",
    "function_call_arguments": "arguments",
    "custom_tool_call_input": "input",
}


def _check_items(events: list[Json]) -> list[Json]:
    """Check that items open and close one by one and that deltas add up. Returns the items."""
    done: list[Json] = []
    open_item: Json | None = None
    text = ""
    for event in events[2:-1]:
        kind, _, step = event["type"].removeprefix("response.").rpartition(".")
        if kind == "":
            assert step == "in_progress"
            continue
        assert event["output_index"] == len(done)
        if kind == "output_item" and step == "added":
            assert open_item is None
            open_item, text = event["item"], ""
            continue
        assert open_item
        if kind == "output_item":
            assert event["item"]["id"] == open_item["id"]
            assert event["item"]["type"] == open_item["type"]
            done.append(event["item"])
            open_item = None
            continue
        assert event["item_id"] == open_item["id"]
        if kind in _WHOLE:
            text = text + event["delta"] if step == "delta" else text
            assert step == "delta" or event[_WHOLE[kind]] == text
    assert open_item is None or events[-1]["type"] == "response.failed"
    return done


def contents(output: list[Json]) -> list[Json]:
    """Items without their ids, which differ between responses."""
    return [{name: value for name, value in item.items() if name != "id"} for item in output]

"""Reads OpenAI requests, and builds OpenAI responses that the proxy writes itself.

A request stays the dict that the client sent. Only fields that the proxy acts on are checked:
unknown fields, roles and content parts pass unchanged.
"""

from collections.abc import Mapping
from typing import Any

from backends import jsonio, sse
from backends.errors import ApiError, bad_request

Chat = dict[str, Any]
"""A chat-completions request: `{"model": str, "messages": [{...}, ...], ...}`."""

MAX_VALUES = 500_000
"""In one request: 100 000 messages and more. A million tokens of conversation have far fewer."""

DONE = sse.block(b"[DONE]")


def read_chat(body: bytes) -> Chat:
    """Parse a chat request. Raises ApiError (400) with `param` if it cannot be routed."""
    chat = read_object(body, "messages")
    messages = chat["messages"]
    if not isinstance(messages, list) or not messages:
        kind = "an empty list" if messages == [] else _kind(messages)
        raise bad_request(f"'messages' must be a non-empty list, not {kind}", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            param = f"messages[{index}]"
            raise bad_request(f"'{param}' must be an object, not {_kind(message)}", param)
    return chat


def read_embeddings(body: bytes) -> dict[str, Any]:
    """Parse an embeddings request. Raises ApiError (400) with `param` if it cannot be routed."""
    return read_object(body, "input")


def read_object(body: bytes, required: str) -> dict[str, Any]:
    """Parse a JSON object that has this field. Raises ApiError (400) with `param`."""
    if jsonio.has_more_values(body, MAX_VALUES):
        raise bad_request(f"The request has more than {MAX_VALUES} JSON values")
    try:
        value = jsonio.decode(body)
    except ValueError as error:
        raise bad_request(f"The request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise bad_request(f"The request body must be a JSON object, not {_kind(value)}")
    if required not in value:
        raise ApiError(
            400,
            f"Missing required parameter: '{required}'",
            param=required,
            code="missing_required_parameter",
        )
    model = value.get("model")
    if model is not None and not isinstance(model, str):
        raise bad_request(f"'model' must be a string, not {_kind(model)}", "model")
    if model and not jsonio.is_text(model):
        raise bad_request("'model' must not contain half of a surrogate pair", "model")
    return value


def is_stream(chat: Chat) -> bool:
    """Whether the client asked for server-sent events."""
    return chat.get("stream") is True


def wants_usage(chat: Chat) -> bool:
    """Whether the client asked for a last chunk with the usage."""
    options = chat.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def tool_call(id: str, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call for an assistant's message."""
    function = {"name": name, "arguments": jsonio.encode(arguments).decode()}
    return {"id": id, "type": "function", "function": function}


def models_list(models: list[dict[str, Any]]) -> dict[str, Any]:
    """The response of `GET /v1/models`."""
    return {"object": "list", "data": models}


def error_event(error: ApiError) -> bytes:
    """An error inside a stream, in the only form that both OpenAI SDKs raise as an exception."""
    return sse.block(jsonio.encode(error.body()))


NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def completion_of(message: dict[str, Any], *, id: str, model: str, created: int) -> dict[str, Any]:
    """A completion with this message; `created` is in seconds since the epoch."""
    finish_reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": NO_USAGE,
    }


def stream_of(completion: dict[str, Any]) -> list[bytes]:
    """A completion as a stream, including `[DONE]`.

    Each choice becomes a chunk with the message and one with the finish reason; the usage follows.
    Tool calls get the `index` that streamed deltas need. Unknown fields stay.
    """
    head = {key: value for key, value in completion.items() if key not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    events = []
    for choice in completion.get("choices") or []:
        delta = dict(choice.get("message") or {})
        if delta.get("tool_calls"):
            delta["tool_calls"] = [
                {"index": index, **call} for index, call in enumerate(delta["tool_calls"])
            ]
        rest = {key: value for key, value in choice.items() if key != "message"}
        first = {**rest, "delta": delta, "finish_reason": None}
        events.append({**head, "choices": [first]})
        events.append({**head, "choices": [{**rest, "delta": {}}]})
    if completion.get("usage"):
        events.append({**head, "choices": [], "usage": completion["usage"]})
    return [sse.block(jsonio.encode(event)) for event in events] + [DONE]


_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def _kind(value: object) -> str:
    """The JSON type of a value, with its article."""
    return _KINDS.get(type(value), "a number")

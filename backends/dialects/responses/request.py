"""Translates a request of the Responses API to a chat.

Parameters without an equivalent in a chat are dropped: backends would reject them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from backends.dialects.responses.history import History
from backends.dialects.responses.store import ResponseStore
from backends.dialects.responses.tools import Toolbox, read_tools
from backends.errors import ApiError, bad_request
from backends.jsonio import Json, Warnings
from backends.openai_wire import Chat

LOGPROBS = "message.output_text.logprobs"
REASONING = "reasoning.encrypted_content"
"""Values of `include`."""


def read_history(parameters: Json, store: ResponseStore, warnings: Warnings) -> History:
    """The conversation so far: instructions, earlier turns and the new input.

    Raises ApiError (400) with `param` if it is empty or cannot be read.
    """
    history = History(store, warnings)
    if instructions := _instructions(parameters):
        history.messages.append({"role": "system", "content": instructions})
    history.read(_earlier(parameters, store), "previous_response_id")
    history.read(_input(parameters), "input")
    history.finish()
    if not history.messages:
        raise bad_request("'input' must not be an empty list", "input")
    return history


def read_chat(parameters: Json, history: History, warnings: Warnings) -> tuple[Chat, Toolbox]:
    """The request as a chat. Raises ApiError (400) with `param` if a parameter is not supported."""
    # Compaction keeps the tools: some models refuse calls without them, and caches contain them.
    choice = "none" if history.is_to_compact else parameters.get("tool_choice")
    toolbox = read_tools([*_list(parameters, "tools"), *history.tools], choice, warnings)
    chat: Chat = {"messages": history.messages}
    for param, read_param in _READERS.items():
        if parameters.get(param) is not None:
            chat |= read_param(param, parameters[param])
    if toolbox.declared:
        # OpenAI refuses these two without tools.
        chat["tools"] = toolbox.declared
        if toolbox.choice is not None:
            chat["tool_choice"] = toolbox.choice
        if parameters.get("parallel_tool_calls") is not None:
            chat["parallel_tool_calls"] = parameters["parallel_tool_calls"]
    if parameters.get("truncation") == "auto":
        warnings.append("truncation=the history is never truncated")
    return chat, toolbox


def includes(parameters: Json, value: str) -> bool:
    """Whether `include` lists a value."""
    include = parameters.get("include")
    return isinstance(include, list) and value in include


def _instructions(parameters: Json) -> str | None:
    instructions = parameters.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise bad_request("'instructions' must be a string", "instructions")
    return instructions


def _earlier(parameters: Json, store: ResponseStore) -> list[Json]:
    """The conversation that the request continues."""
    id = parameters.get("previous_response_id")
    if id is None:
        return []
    items = store.find(id) if isinstance(id, str) else None
    if items is None:
        raise ApiError(
            400,
            f"Previous response with id '{id}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return items


def _input(parameters: Json) -> list[Any]:
    if isinstance(parameters["input"], str):
        return [{"type": "message", "role": "user", "content": parameters["input"]}]
    return _list(parameters, "input")


def _list(parameters: Json, param: str) -> list[Any]:
    value = parameters.get(param)
    if value is not None and not isinstance(value, list):
        raise bad_request(f"'{param}' must be a list", param)
    return value or []


# One reader a parameter: returns its fields in a chat


def _same(param: str, value: Any) -> Json:
    return {param: value}


def _refuse(param: str, value: Any) -> Json:
    if value:
        message = f"'{param}' is not supported"
        raise ApiError(400, message, param=param, code="unsupported_parameter")
    return {}


def _stream(param: str, value: Any) -> Json:
    """Always requests usage, because the last event contains it."""
    return {"stream": True, "stream_options": {"include_usage": True}} if value is True else {}


def _reasoning(param: str, value: Any) -> Json:
    """OpenRouter's form. The Gemini backend reads its effort."""
    fields = _without_nulls(value, param)
    return {"reasoning": fields} if fields else {}


def _text(param: str, value: Any) -> Json:
    fields = _without_nulls(value, param)
    verbosity = {"verbosity": fields["verbosity"]} if "verbosity" in fields else {}
    format = _without_nulls(fields.get("format", {}), "text.format")
    kind = str(format.pop("type", "text"))
    if kind == "text":
        return verbosity
    response_format = {"type": kind} | ({kind: format} if format else {})
    return {**verbosity, "response_format": response_format}


def _without_nulls(value: Any, param: str) -> Json:
    if not isinstance(value, dict):
        raise bad_request(f"'{param}' must be an object", param)
    return {name: each for name, each in value.items() if each is not None}


def _include(param: str, value: Any) -> Json:
    return {"logprobs": True} if isinstance(value, list) and LOGPROBS in value else {}


_PASSED = (
    "model",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "seed",
    "service_tier",
    "temperature",
    "top_p",
    "user",
    # OpenRouter's own; its Responses API accepts them, too (docs).
    "cache_control",
    "models",
    "plugins",
    "provider",
    "route",
    "session_id",
    "trace",
)
_READERS: Mapping[str, Callable[[str, Any], Json]] = {
    **dict.fromkeys(_PASSED, _same),
    **dict.fromkeys(("background", "conversation", "prompt"), _refuse),
    "stream": _stream,
    "max_output_tokens": lambda param, value: {"max_completion_tokens": value},
    "reasoning": _reasoning,
    "text": _text,
    "include": _include,
    "top_logprobs": lambda param, value: {"logprobs": True, "top_logprobs": value} if value else {},
}

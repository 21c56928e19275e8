"""Reads a response back as the completion that it was made from."""

from collections.abc import Iterator
from typing import Any

from backends import jsonio, openai_wire, sse
from backends.dialects.responses.events import COMPLETED, INCOMPLETE
from backends.dialects.responses.history import History
from backends.dialects.responses.store import ResponseStore
from backends.jsonio import Json, count, fields, objects, string


def to_completion(body: bytes) -> dict[str, Any] | None:
    """Read a complete or streamed response; returns None if it was cut off."""
    for response in _responses(body):
        if response.get("status") in (COMPLETED, INCOMPLETE):
            return _to_completion(response)
    return None


def _responses(body: bytes) -> Iterator[Json]:
    for block in sse.blocks_of(body):
        data = sse.data_of(block)
        try:
            value = jsonio.decode(block if data is None else data)
        except ValueError:
            continue
        if isinstance(value, dict):
            response = value.get("response", value)
            if isinstance(response, dict):
                yield response


def _to_completion(response: Json) -> Json:
    history = History(ResponseStore(), [])
    history.read(objects(response.get("output")), "output")
    history.finish()
    completion = openai_wire.completion_of(
        history.messages[-1] if history.messages else {"role": "assistant", "content": ""},
        id=str(response.get("id")),
        model=string(response.get("model")) or "",
        created=count(response.get("created_at")),
    )
    if response["status"] == INCOMPLETE:
        details = fields(response.get("incomplete_details"))
        is_length = details.get("reason") == "max_output_tokens"
        completion["choices"][0]["finish_reason"] = "length" if is_length else "content_filter"
    if usage := fields(response.get("usage")):
        completion["usage"] = {
            "prompt_tokens": count(usage.get("input_tokens")),
            "prompt_tokens_details": fields(usage.get("input_tokens_details")),
            "completion_tokens": count(usage.get("output_tokens")),
            "completion_tokens_details": fields(usage.get("output_tokens_details")),
            "total_tokens": count(usage.get("total_tokens")),
        }
    return completion

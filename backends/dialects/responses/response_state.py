"""Builds a response object from a completion or from the chunks of a stream."""

from collections.abc import Mapping

from backends.dialects.responses.events import COMPLETED, IN_PROGRESS, INCOMPLETE
from backends.dialects.responses.output import Output
from backends.jsonio import Json, count, fields, objects, string

# Parameters that a response repeats, and their values if the request has none (API reference).
# `model` is the one that answered, if known.
_ECHOED: Mapping[str, object] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": "",
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "auto",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}

_CUT_SHORT: Mapping[str | None, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Finish reasons of incomplete responses, and the reasons that this API gives."""


class ResponseState:
    """Reads completions and chunks; `created` is in seconds since the epoch."""

    def __init__(self, id: str, created: int, parameters: Json, output: Output) -> None:
        self.id = id
        self.output = output
        self.finish_reason: str | None = None
        self._usage: Json | None = None
        self._head: Json = {
            name: default if parameters.get(name) is None else parameters[name]
            for name, default in _ECHOED.items()
        }
        self._head |= {"id": id, "object": "response", "created_at": created}

    @property
    def status(self) -> str:
        return INCOMPLETE if self.finish_reason in _CUT_SHORT else COMPLETED

    def feed(self, data: Json) -> list[Json]:
        """The events for a chunk or a completion."""
        self._head["model"] = string(data.get("model")) or self._head["model"]
        if isinstance(data.get("usage"), dict):
            self._usage = data["usage"]
        events = []
        for choice in objects(data.get("choices")):
            if choice.get("index", 0) == 0:
                events += self._feed(choice)
        return events

    def finish(self) -> list[Json]:
        """The events that end the output."""
        return self.output.finish(self.status)

    def response(self, status: str, error: Json | None = None) -> Json:
        """The response object so far."""
        reason = _CUT_SHORT.get(self.finish_reason) if status == INCOMPLETE else None
        return {
            **self._head,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": self.output.visible_items if status != IN_PROGRESS else [],
            "usage": _to_usage(self._usage) if self._usage else None,
        }

    def _feed(self, choice: Json) -> list[Json]:
        # Some providers send "" on every chunk but the last.
        self.finish_reason = string(choice.get("finish_reason")) or self.finish_reason
        delta = choice.get("delta", choice.get("message"))
        tokens = objects(fields(choice.get("logprobs")).get("content"))
        return self.output.feed(delta, tokens) if isinstance(delta, dict) else []


def _to_usage(usage: Json) -> Json:
    """Every count is present: Codex fails a turn without one (its event reader)."""
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    inside = fields(usage.get("prompt_tokens_details"))
    outside = fields(usage.get("completion_tokens_details"))
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": count(inside.get("cached_tokens")),
            "cache_write_tokens": count(inside.get("cache_write_tokens")),
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": count(outside.get("reasoning_tokens"))},
        "total_tokens": count(usage.get("total_tokens")) or prompt + completion,
    }

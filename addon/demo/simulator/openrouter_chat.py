"""Reads OpenRouter's chat requests into a `Turn`, and writes a `Completion` back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from addon.demo.simulator.dialogue import Completion, Prompt, Tool, ToolCall, count_tokens, words
from addon.loopback.script import (
    Headers,
    Json,
    Pause,
    ReceivedRequest,
    Send,
    Step,
    to_event,
    to_json,
)

COMMENT = Send(b": OPENROUTER PROCESSING\n\n")
COST_PER_TOKEN = 0.0000002

_FIRST_CREATED = 1_750_000_000
"""The simulated clock starts here and advances a second with each completion."""
_DONE = Send(to_event("[DONE]"))
_SIGNATURE = "c2ltdWxhdGVk"


@dataclass(frozen=True, slots=True)
class Turn:
    """A chat request, and the fields that its responses share."""

    prompt: Prompt
    prompt_tokens: int
    is_stream: bool
    created: int

    @classmethod
    def read(cls, request: ReceivedRequest, serial: int) -> Self:
        """Raises ValueError, TypeError, LookupError or AttributeError for JSON of another shape."""
        body = request.json
        return cls(
            prompt=_read_prompt(body),
            prompt_tokens=count_tokens(request.body),
            is_stream=bool(body.get("stream")),
            created=_FIRST_CREATED + serial,
        )

    @property
    def id(self) -> str:
        return f"gen-{self.created}-simulated"

    @property
    def headers(self) -> Headers:
        return (("x-generation-id", self.id),)

    def label(self, kind: str) -> Json:
        """The first fields of a completion and of each chunk."""
        return {
            "id": self.id,
            "provider": "Simulated",
            "model": self.prompt.model,
            "object": kind,
            "created": self.created,
        }

    def usage(self, completion: Completion) -> Json:
        thought = count_tokens(completion.reasoning)
        calls = [call.name + _arguments(call) for call in completion.calls]
        written = thought + count_tokens(completion.text, *calls)
        total = self.prompt_tokens + written
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": total,
            "cost": round(total * COST_PER_TOKEN, 8),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": thought, "image_tokens": 0},
        }


def _read_prompt(body: Json) -> Prompt:
    messages = body["messages"]
    first_result = len(messages)
    while first_result and messages[first_result - 1]["role"] == "tool":
        first_result -= 1
    user_texts = (_text(message) for message in reversed(messages) if message["role"] == "user")
    may_call = body.get("tool_choice") != "none"
    return Prompt(
        model=body.get("model") or "demo/echo",
        user_text=next(user_texts, ""),
        tool_results=tuple(_text(message) for message in messages[first_result:]),
        tools=tuple(_read_tools(body)) if may_call else (),
    )


def _read_tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        if function := tool.get("function"):  # OpenRouter's server tools have none
            yield Tool(function["name"], function.get("parameters") or {})


def _text(message: Json) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def to_whole(turn: Turn, completion: Completion) -> Json:
    message: Json = {"role": "assistant", "content": completion.text or None, "refusal": None}
    if completion.reasoning:
        detail = _reasoning_detail(text=completion.reasoning, signature=_SIGNATURE)
        message |= {"reasoning": completion.reasoning, "reasoning_details": [detail]}
    if completion.calls:
        message["tool_calls"] = [
            _tool_call(turn, index, call, _arguments(call))
            for index, call in enumerate(completion.calls)
        ]
    finish_reason = _finish_reason(completion)
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    label = turn.label("chat.completion")
    return {**label, "choices": [choice], "usage": turn.usage(completion)}


def to_stream(turn: Turn, completion: Completion, delay_s: float) -> tuple[Step, ...]:
    """A comment, each delta after a delay, the finish reason, the usage, `[DONE]`."""
    pause = Pause(delay_s)
    steps: list[Step] = [COMMENT]
    for delta in _deltas(turn, completion):
        steps += (pause, Send(to_event(to_chunk(turn, delta))))
    last = to_chunk(turn, {"role": "assistant", "content": ""}, _finish_reason(completion))
    usage = {**turn.label("chat.completion.chunk"), "choices": [], "usage": turn.usage(completion)}
    return (*steps, Send(to_event(last)), Send(to_event(usage)), _DONE)


def to_chunk(turn: Turn, delta: Json, finish_reason: str | None = None) -> Json:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    return {**turn.label("chat.completion.chunk"), "choices": [choice]}


def _deltas(turn: Turn, completion: Completion) -> Iterator[Json]:
    blank = {"role": "assistant", "content": ""}
    for word in words(completion.reasoning):
        yield {**blank, "reasoning": word, "reasoning_details": [_reasoning_detail(text=word)]}
    if completion.reasoning:
        yield {**blank, "reasoning_details": [_reasoning_detail(signature=_SIGNATURE)]}
    for word in words(completion.text):
        yield {"role": "assistant", "content": word}
    for index, call in enumerate(completion.calls):
        yield {**blank, "tool_calls": [{"index": index, **_tool_call(turn, index, call, "")}]}
        for fragment in _fragments(_arguments(call)):
            yield {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}


def _finish_reason(completion: Completion) -> str:
    return "tool_calls" if completion.calls else "stop"


def _reasoning_detail(**content: str) -> Json:
    return {"type": "reasoning.text", **content, "format": "anthropic-claude-v1", "index": 0}


def _tool_call(turn: Turn, index: int, call: ToolCall, arguments: str) -> Json:
    function = {"name": call.name, "arguments": arguments}
    return {"id": f"call_{turn.created}_{index}", "type": "function", "function": function}


def _arguments(call: ToolCall) -> str:
    return to_json(call.arguments).decode()


def _fragments(text: str) -> list[str]:
    # Short and of odd length, to split keys and values.
    return [text[start : start + 7] for start in range(0, len(text), 7)]

"""Reads Gemini's generateContent requests into a `Prompt`, and writes a `Completion` back."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from addon.demo.simulator.dialogue import Completion, Prompt, Tool, ToolCall, count_tokens, words
from addon.demo.simulator.gemini_rules import checks_signatures, sign
from addon.loopback.script import Json, to_json


@dataclass(frozen=True, slots=True)
class Turn:
    """A chat request, and the fields that its responses share."""

    prompt: Prompt
    prompt_tokens: int
    is_stream: bool
    serial: int

    def reply(self, usage: Counter[str], **content: object) -> Json:
        """A complete response, or one event of a stream."""
        return {
            **content,
            "usageMetadata": {**usage, "totalTokenCount": usage.total()},
            "modelVersion": self.prompt.model,
            "responseId": f"simulated-{self.serial}",
        }

    def usage(self) -> Counter[str]:
        """The usage before the first output."""
        return Counter(promptTokenCount=self.prompt_tokens)


def read_prompt(model: str, body: Json) -> Prompt:
    """Read a body that `gemini_rules` accepts."""
    contents = body["contents"]
    texts = (_text(content) for content in reversed(contents) if content.get("role") != "model")
    results = [
        part["functionResponse"]["response"]
        for part in contents[-1]["parts"]
        if "functionResponse" in part
    ]
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    return Prompt(
        model=model,
        user_text=next(filter(None, texts), ""),
        tool_results=tuple(_output_of(result) for result in results),
        tools=() if calling.get("mode") == "NONE" else tuple(_read_tools(body)),
    )


def _text(content: Json) -> str:
    return "\n".join(part["text"] for part in content["parts"] if "text" in part)


def _output_of(result: Json) -> str:
    output = result.get("output", result)
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _read_tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
            yield Tool(function["name"], schema)


def to_whole(turn: Turn, completion: Completion) -> Json:
    parts = list(_parts(turn, completion, _unsplit))
    usage = turn.usage()
    for part in parts:
        _count(usage, part)
    candidate = _candidate(*parts, finishReason="STOP")
    if completion.calls:
        candidate["finishMessage"] = "Model generated function call(s)."
    return turn.reply(usage, candidates=[candidate])


def to_events(turn: Turn, completion: Completion) -> Iterator[Json]:
    """An event for each word or call, with the usage so far, and an empty last one."""
    usage = turn.usage()
    for part in _parts(turn, completion, words):
        _count(usage, part)
        yield turn.reply(usage, candidates=[_candidate(part)])
    last: Json = {"text": ""}
    if completion.text and checks_signatures(turn.prompt.model):
        last["thoughtSignature"] = sign(turn.serial)
    yield turn.reply(usage, candidates=[_candidate(last, finishReason="STOP")])


def _parts(turn: Turn, completion: Completion, split: Callable[[str], list[str]]) -> Iterator[Json]:
    for thought in split(completion.reasoning):
        yield {"text": thought, "thought": True}
    for text in split(completion.text):
        yield {"text": text}
    for index, call in enumerate(completion.calls):
        yield _call_part(turn, index, call)


def _unsplit(text: str) -> list[str]:
    return [text] if text else []


def _call_part(turn: Turn, index: int, call: ToolCall) -> Json:
    part: Json = {"functionCall": {"name": call.name}}
    if call.arguments:  # a call without arguments has no `args`
        part["functionCall"]["args"] = call.arguments
    if checks_signatures(turn.prompt.model):
        part["functionCall"]["id"] = f"{turn.serial:06x}{index:02x}"
        if index == 0:  # only the first of parallel calls is signed
            part["thoughtSignature"] = sign(turn.serial)
    return part


def _candidate(*parts: Json, **more: str) -> Json:
    return {"content": {"parts": list(parts), "role": "model"}, **more, "index": 0}


def _count(usage: Counter[str], part: Json) -> None:
    name = "thoughtsTokenCount" if part.get("thought") else "candidatesTokenCount"
    usage[name] += count_tokens(part.get("text") or to_json(part))

"""Computes the completions of simulated models, independent of a vendor's wire."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from addon.loopback.script import Json

_MAX_ECHO = 1000
"""In characters. Agents send long prompts, and the echo is streamed slowly."""
_WANTS_TOOL = re.compile(r"\btools?\b", re.IGNORECASE)
_NAMED_CALL = re.compile(r"\btool (?P<name>\w+)\((?P<arguments>[^)]*)\)")


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Json
    """JSON Schema of the arguments; may be empty."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The part of a chat request that a simulated model uses."""

    model: str
    user_text: str
    """The newest text of the user."""
    tool_results: tuple[str, ...]
    """Those at the end of the request."""
    tools: tuple[Tool, ...]
    """Empty also if the request forbids calls."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Completion:
    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


Responder = Callable[[Prompt], Completion]


def echo(prompt: Prompt) -> Completion:
    """Repeat the user's text, or call a tool if the text mentions tools.

    `tool look(path=a.txt, lines=5)` in the text selects the tool and its arguments.
    """
    wants_tool = bool(_WANTS_TOOL.search(prompt.user_text))
    return _complete(prompt, calls=1 if wants_tool else 0)


def call_tool(prompt: Prompt) -> Completion:
    return _complete(prompt, calls=1)


def call_two_tools(prompt: Prompt) -> Completion:
    """Call the first two tools in one turn, or the only one twice."""
    return _complete(prompt, calls=2)


def reason(prompt: Prompt) -> Completion:
    echoed = echo(prompt)
    thoughts = "The user wants an answer. A simulated model repeats what it was told."
    return Completion(echoed.text, thoughts, echoed.calls)


def _complete(prompt: Prompt, calls: int) -> Completion:
    if prompt.tool_results:
        quoted = "; ".join(f'"{_clip(result)}"' for result in prompt.tool_results)
        return Completion(f"The tool answered: {quoted}")
    if prompt.tools and calls:
        if named := _named_call(prompt):
            return Completion(calls=(named,))
        tools = (prompt.tools * calls)[:calls]
        return Completion(calls=tuple(ToolCall(tool.name, sample(tool.schema)) for tool in tools))
    return Completion(
        f"Hello from {prompt.model}, a simulated model: no AI was asked. "
        f"You said: {_clip(prompt.user_text)}"
    )


def _named_call(prompt: Prompt) -> ToolCall | None:
    """The call that the user spells out, or None; required arguments get sample values."""
    found = _NAMED_CALL.search(prompt.user_text)
    for tool in prompt.tools if found else ():
        if found and tool.name == found["name"]:
            pairs = (pair.partition("=") for pair in found["arguments"].split(", "))
            arguments = {name: _value(text) for name, _, text in pairs}
            return ToolCall(tool.name, sample(tool.schema) | arguments)
    return None


def _value(text: str) -> object:
    """The text as JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_ECHO else f"{text[:_MAX_ECHO]} ..."


def words(text: str) -> list[str]:
    """Split a text after blanks; the pieces joined are the text."""
    return re.findall(r"\s*\S+\s?|\s+", text)


def count_tokens(*texts: str | bytes) -> int:
    """A plausible count: about four characters for each token."""
    return sum((len(text) + 3) // 4 for text in texts)


def sample(schema: Json) -> Json:
    """Sample arguments: a value for each required property."""
    properties = schema.get("properties", {})
    return {name: _sample_value(properties.get(name, {})) for name in schema.get("required", ())}


_SAMPLES: dict[str, Callable[[Json], object]] = {
    "string": lambda _: "example",
    "integer": lambda schema: schema.get("minimum", 1),
    "number": lambda schema: schema.get("minimum", 1.5),
    "boolean": lambda _: True,
    "array": lambda schema: [_sample_value(schema.get("items", {}))],
    "object": sample,
    "null": lambda _: None,
}


def _sample_value(schema: Json | bool) -> object:
    if isinstance(schema, bool):  # JSON Schema: `true` allows anything
        schema = {}
    if values := schema.get("enum"):
        return values[0]
    if choices := schema.get("anyOf"):
        return _sample_value(choices[0])
    kind = schema.get("type", "string")
    # JSON Schema may list several types; Gemini's own dialect has them in upper case.
    name = (kind if isinstance(kind, str) else kind[0]).lower()
    return _SAMPLES.get(name, _SAMPLES["string"])(schema)

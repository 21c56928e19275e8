"""Converts the messages of a chat to Gemini's contents, in the only order that Gemini accepts.

Its rules (issue reports; error messages in `addon/demo/simulator/gemini_rules.py`): The first
content has the role "user". Calls follow a user's content or results. The next content after calls
holds exactly their results. Histories of agents break these rules in many ways. So all turns are
collected first, each call with its result, and written afterwards.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic_core import from_json

from backends.errors import bad_request
from backends.jsonio import Json, Warnings, fields, string
from backends.vendors.gemini.generations import Generation
from backends.vendors.gemini.request.parts import to_parts
from backends.vendors.gemini.request.tools import Toolbox
from backends.vendors.gemini.signatures import PLACEHOLDER, Signatures
from backends.vendors.gemini.wire import Content, Part

NO_RESULT = "tool result not available (cancelled)"
_BLANK: Part = {"text": " "}
"""A filler where Gemini requires a part."""

# The media that a function response may hold (API reference, FunctionResponseBlob).
_RESPONSE_MEDIA = frozenset(
    {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
)


@dataclass(slots=True)
class _Call:
    """One call in the history, with its result."""

    id: str | None
    """The client's id."""
    name: str
    """Gemini's name for the tool."""
    client_name: str
    args: Json
    native_id: str | None = None
    signature: str | None = None
    turn: str = ""
    """Identifies the response that made the call; empty if that is unknown."""
    position: int = 0
    """Among the parallel calls of that response."""
    result: Json | None = None
    """The client's message with the result; None until it is found."""
    result_param: str = ""
    """The path of the result in the request."""


@dataclass(slots=True)
class _Turn:
    role: str
    parts: list[Part]
    calls: list[_Call] = field(default_factory=list)
    has_result: bool = False
    """Whether a call of it has a result."""


class _OpenCalls:
    """The calls that may lack a result, by their id and by the name of their tool."""

    def __init__(self) -> None:
        self._turns: defaultdict[tuple[str, str | None], list[tuple[_Turn, deque[_Call]]]]
        self._turns = defaultdict(list)

    def add(self, turn: _Turn, calls: list[_Call]) -> None:
        for call in calls:
            for key in (("id", call.id), ("name", call.client_name)):
                turns = self._turns[key]
                if not turns or turns[-1][0] is not turn:
                    turns.append((turn, deque()))
                turns[-1][1].append(call)

    def find(self, message: Json) -> tuple[_Turn, _Call] | None:
        """The call of a result: the first one without result in the newest turn that has one."""
        id = message.get("tool_call_id")
        key = ("id", string(id)) if id else ("name", string(message.get("name")))
        turns = self._turns.get(key, []) if key[1] else []
        while turns:
            turn, calls = turns[-1]
            while calls and calls[0].result is not None:
                calls.popleft()
            if calls:
                return turn, calls[0]
            turns.pop()
        return None


class Conversation:
    """Reads messages one by one, and writes `contents` and `system`."""

    def __init__(
        self, toolbox: Toolbox, generation: Generation, signatures: Signatures, warnings: Warnings
    ) -> None:
        self._toolbox = toolbox
        self._generation = generation
        self._signatures = signatures
        self._warnings = warnings
        self._turns: list[_Turn] = []
        self._open_calls = _OpenCalls()
        self.system: list[Part] = []
        self._readers: Mapping[str, Callable[[Json, str], None]] = {
            "system": self._read_system,
            "developer": self._read_system,
            "user": self._read_user,
            "assistant": self._read_assistant,
            "tool": self._read_result,
            "function": self._read_result,
        }

    def read(self, message: Json, param: str) -> None:
        """Read the message at the path `param`. Raises ApiError (400) if it cannot be converted."""
        role = message.get("role")
        reader = self._readers.get(role) if isinstance(role, str) else None
        if reader is None:
            raise bad_request(f"unknown role {role!r}", f"{param}.role")
        reader(message, param)

    def contents(self) -> list[Content]:
        """Everything that was read, in the order that Gemini accepts."""
        contents = [content for turn in self._turns for content in self._write(turn)]
        if not contents or contents[0]["role"] != "user":
            contents.insert(0, _user(_BLANK))
        if contents[-1]["role"] == "model" and not self._generation.takes_prefill:
            contents.append(_user(_BLANK))
            self._warnings.append("messages=this model cannot continue an assistant message")
        return contents

    # Reading

    def _read_system(self, message: Json, param: str) -> None:
        """Later system messages stay at their position, as the user's.

        Moved to the front, each reminder of an agent to its model would change the prefix that
        Gemini caches.
        """
        parts = to_parts(message.get("content"), f"{param}.content", self._generation)
        if not self._turns:
            self.system += parts
        elif parts:
            self._turns.append(_Turn("user", parts))

    def _read_user(self, message: Json, param: str) -> None:
        parts = to_parts(message.get("content"), f"{param}.content", self._generation)
        self._turns.append(_Turn("user", parts or [_BLANK]))

    def _read_assistant(self, message: Json, param: str) -> None:
        """Consecutive messages are one turn, unless there are results between them."""
        parts = to_parts(message.get("content"), f"{param}.content", self._generation)
        if refusal := string(message.get("refusal")):
            parts.append({"text": refusal})
        if message.get("audio"):
            self._warnings.append("messages=audio of the assistant is not sent back")
        turn = _Turn("model", self._sign(parts, message), self._read_calls(message, param))
        if not turn.parts and not turn.calls:
            return
        last = self._turns[-1] if self._turns else None
        if last and last.role == "model" and not last.has_result:
            last.parts += turn.parts
            last.calls += turn.calls
        else:
            last = turn
            self._turns.append(turn)
        self._open_calls.add(last, turn.calls)

    def _sign(self, parts: list[Part], message: Json) -> list[Part]:
        """Split a text into parts that have its signatures in their original positions."""
        if not parts or not all("text" in part for part in parts):
            return parts
        text = "".join(part["text"] for part in parts)
        spans = self._signatures.of_text(text, message)
        signed: list[Part] = []
        position = 0
        for start, end, signature in spans:
            signed += _text(text[position:start])
            signed.append({"text": text[start:end], "thoughtSignature": signature})
            position = end
        return signed + _text(text[position:]) if spans else parts

    def _read_calls(self, message: Json, param: str) -> list[_Call]:
        """The calls of one message, in the order in which the model made them."""
        calls = message.get("tool_calls")
        calls = list(calls) if isinstance(calls, list) else []
        if isinstance(message.get("function_call"), dict):
            calls.append({"type": "function", "function": message["function_call"]})
        read = [
            self._read_call(each, f"{param}.tool_calls[{index}]")
            for index, each in enumerate(calls)
        ]
        if len({call.turn for call in read}) == 1:
            read.sort(key=lambda call: call.position)
        return read

    def _read_call(self, tool_call: Any, param: str) -> _Call:
        tool_call = fields(tool_call)
        is_custom = tool_call.get("type") == "custom"
        function = fields(tool_call.get("custom" if is_custom else "function"))
        name = function.get("name")
        if not isinstance(name, str):
            raise bad_request("a tool call needs a function with a name", param)
        if is_custom:
            args: Json = {"input": function.get("input") or ""}
        else:
            args = self._toolbox.to_args(name, read_arguments(function.get("arguments")))
        call = _Call(string(tool_call.get("id")), self._toolbox.names.to_gemini(name), name, args)
        if known := self._signatures.of_call(call.id, tool_call):
            call.signature, call.turn, call.position = known.signature, known.turn, known.position
            call.native_id = known.native_id if self._generation.has_call_ids else None
        return call

    def _read_result(self, message: Json, param: str) -> None:
        """Attach a result to its call. Without a call it becomes text of the user."""
        if found := self._open_calls.find(message):
            turn, call = found
            turn.has_result = True
            call.result, call.result_param = message, f"{param}.content"
            return
        parts = to_parts(message.get("content"), f"{param}.content", self._generation)
        name = message.get("tool_call_id") or message.get("name")
        self._turns.append(_Turn("user", [{"text": f"[tool result {name}]"}, *parts]))

    # Writing

    def _write(self, turn: _Turn) -> Iterator[Content]:
        calls = [_call_part(call) for call in turn.calls]
        if calls and self._generation.checks_signatures:
            # Gemini checks only the first call of a step (API documentation).
            calls[0].setdefault("thoughtSignature", PLACEHOLDER)
        yield {"role": turn.role, "parts": turn.parts + calls}
        if calls:
            answered = [self._respond(call) for call in turn.calls]
            media_parts = [part for _, parts in answered for part in parts]
            yield {"role": "user", "parts": [response for response, _ in answered] + media_parts}

    def _respond(self, call: _Call) -> tuple[Part, list[Part]]:
        """The function response for a call, and the parts that must follow all responses.

        A text result stays text even if it is JSON: parsed, its own `output` or `error` would have
        a meaning for Gemini (SDK, FunctionResponse).
        """
        response: Json = {"name": call.name}
        if call.native_id:
            response["id"] = call.native_id
        if call.result is None:
            return {"functionResponse": {**response, "response": {"error": NO_RESULT}}}, []
        content = call.result.get("content")
        if content is not None and not isinstance(content, str | list):
            return {"functionResponse": {**response, "response": {"output": content}}}, []
        texts, media, media_parts = [], [], []
        for part in to_parts(_inline_only(content), call.result_param, self._generation):
            if "text" in part:
                texts.append(part["text"])
            elif self._generation.takes_media and _mime_type(part) in _RESPONSE_MEDIA:
                media.append({"inlineData": part["inlineData"]})
            else:
                media_parts += [{"text": f"[from the result of {call.name}]"}, part]
        key = "error" if call.result.get("is_error") is True else "output"
        response["response"] = {key: "\n".join(texts)}
        if media:
            response["parts"] = media
        return {"functionResponse": response}, media_parts


def _user(part: Part) -> Content:
    return {"role": "user", "parts": [part]}


def _text(text: str) -> list[Part]:
    return [{"text": text}] if text else []


def _call_part(call: _Call) -> Part:
    function: Json = {"name": call.name, "args": call.args}
    if call.native_id:
        function["id"] = call.native_id
    signature = {"thoughtSignature": call.signature} if call.signature else {}
    return {"functionCall": function, **signature}


def _mime_type(part: Part) -> str | None:
    inline = part.get("inlineData")
    return inline["mimeType"] if inline else None


def _inline_only(content: str | list[Any] | None) -> str | list[Any] | None:
    """Replace image URLs by their text: Gemini takes only inline data in a result."""
    if not isinstance(content, list):
        return content
    return [_image_url(part) or part for part in content]


def _image_url(part: Any) -> str | None:
    image = fields(part).get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    is_address = isinstance(url, str) and not url.lower().startswith("data:")
    return str(url) if is_address else None


def read_arguments(arguments: object) -> Any:
    """Parse a call's `arguments`, which models and clients break in many ways.

    Dropping a call would orphan its result, so unreadable arguments become `{"_raw": "..."}`.
    """
    if not isinstance(arguments, str):
        return arguments or {}
    if arguments.strip() in ("", "null"):
        return {}
    for parse in _PARSERS:
        try:
            return parse(arguments)
        except (ValueError, RecursionError):
            continue
    return {"_raw": arguments}


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_PARSERS: tuple[Callable[[str], Any], ...] = (
    lambda text: from_json(text, allow_inf_nan=False),
    # Raw line breaks in strings.
    lambda text: json.loads(text, strict=False, parse_constant=_reject_constant),
    # A call that was truncated at the token limit.
    lambda text: from_json(text, allow_inf_nan=False, allow_partial="trailing-strings"),
)

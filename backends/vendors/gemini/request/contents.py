"""The messages of a chat as Gemini's contents, in the one order that Gemini takes.

The order it insists on (issue reports; messages in `addon/simulator/gemini_rules.py`): the first
content is a user's, calls follow a user's content or results, and right behind a content with
calls stands one with exactly their results. Histories of agents break this in many ways, so turns
are collected first, each call with its result, and written afterwards.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic_core import from_json

from backends.errors import bad_request
from backends.jsonio import Json, Warnings, string
from backends.vendors.gemini.generations import Generation
from backends.vendors.gemini.request.parts import to_parts
from backends.vendors.gemini.request.tools import Toolbox
from backends.vendors.gemini.signatures import PLACEHOLDER, Signatures
from backends.vendors.gemini.wire import Content, Part

NO_RESULT = "tool result not available (cancelled)"
_BLANK: Part = {"text": " "}
"""What stands where Gemini wants a part and there is nothing to say."""

# What may stand in a function response (API reference, FunctionResponseBlob).
_RESPONSE_MEDIA = frozenset(
    {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
)


@dataclass(slots=True)
class _Call:
    """One call in the history and, once it is found, its result. `name` is Gemini's.

    `turn` and `place` tell which of parallel calls it was; both are empty if that is not known.
    """

    id: str | None
    name: str
    client_name: str
    args: Json
    native_id: str | None = None
    signature: str | None = None
    turn: str = ""
    place: int = 0
    result: Json | None = None
    result_param: str = ""


@dataclass(slots=True)
class _Turn:
    role: str
    parts: list[Part]
    calls: list[_Call] = field(default_factory=list)


class Conversation:
    """Reads messages one by one; `contents` and `system` are what became of them."""

    def __init__(
        self, toolbox: Toolbox, generation: Generation, signatures: Signatures, warnings: Warnings
    ) -> None:
        self._toolbox = toolbox
        self._generation = generation
        self._signatures = signatures
        self._warnings = warnings
        self._turns: list[_Turn] = []
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
        """One message; `param` is its path in the request. ApiError 400 if it has no equal."""
        role = message.get("role")
        reader = self._readers.get(role) if isinstance(role, str) else None
        if reader is None:
            raise bad_request(f"unknown role {role!r}", f"{param}.role")
        reader(message, param)

    def contents(self) -> list[Content]:
        """All that was read, in an order that Gemini takes."""
        contents = [content for turn in self._turns for content in self._write(turn)]
        if not contents or contents[0]["role"] != "user":
            contents.insert(0, _user(_BLANK))
        if contents[-1]["role"] == "model" and not self._generation.takes_prefill:
            contents.append(_user(_BLANK))
            self._warnings.append("messages=this model cannot continue an assistant message")
        return contents

    # Reading

    def _read_system(self, message: Json, param: str) -> None:
        """System text in the midst of a history stays there, as the user's.

        Moved to the front it would change the prefix by which Gemini caches, at each turn of an
        agent that reminds its model of something.
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
        """Messages in a row are one turn, unless results have come between."""
        parts = to_parts(message.get("content"), f"{param}.content", self._generation)
        if refusal := string(message.get("refusal")):
            parts.append({"text": refusal})
        if message.get("audio"):
            self._warnings.append("messages=audio of the assistant is not sent back")
        turn = _Turn("model", self._sign(parts, message), self._read_calls(message, param))
        if not turn.parts and not turn.calls:
            return
        last = self._turns[-1] if self._turns else None
        if last and last.role == "model" and not any(call.result for call in last.calls):
            last.parts += turn.parts
            last.calls += turn.calls
        else:
            self._turns.append(turn)

    def _sign(self, parts: list[Part], message: Json) -> list[Part]:
        """The parts of a text with its signatures at the places where they were."""
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
        """The calls of one message, parallel ones in the order in which the model made them."""
        given = message.get("tool_calls")
        calls = list(given) if isinstance(given, list) else []
        if isinstance(message.get("function_call"), dict):
            calls.append({"type": "function", "function": message["function_call"]})
        read = [
            self._read_call(each, f"{param}.tool_calls[{index}]")
            for index, each in enumerate(calls)
        ]
        if len({call.turn for call in read}) == 1:
            read.sort(key=lambda call: call.place)
        return read

    def _read_call(self, given: Any, param: str) -> _Call:
        given = given if isinstance(given, dict) else {}
        is_custom = given.get("type") == "custom"
        function = given.get("custom" if is_custom else "function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str):
            raise bad_request("a tool call needs a function with a name", param)
        if is_custom:
            args: Json = {"input": function.get("input") or ""}
        else:
            args = self._toolbox.to_args(name, read_arguments(function.get("arguments")))
        call = _Call(string(given.get("id")), self._toolbox.names.to_gemini(name), name, args)
        if known := self._signatures.of_call(call.id, given):
            call.signature, call.turn, call.place = known.signature, known.turn, known.place
            call.native_id = known.native_id if self._generation.has_call_ids else None
        return call

    def _read_result(self, message: Json, param: str) -> None:
        """A result goes to its call; one that has none becomes text of the user."""
        call = self._find_call(message)
        if call:
            call.result, call.result_param = message, f"{param}.content"
            return
        parts = to_parts(message.get("content"), f"{param}.content", self._generation)
        name = message.get("tool_call_id") or message.get("name")
        self._turns.append(_Turn("user", [{"text": f"[tool result {name}]"}, *parts]))

    def _find_call(self, message: Json) -> _Call | None:
        """The call that a result belongs to: of the newest turn that has one unanswered."""
        id, name = message.get("tool_call_id"), message.get("name")
        for turn in reversed(self._turns):
            for call in turn.calls:
                is_named = call.id == id if id else call.client_name == name
                if is_named and call.result is None:
                    return call
        return None

    # Writing

    def _write(self, turn: _Turn) -> Iterator[Content]:
        calls = [_call_part(call) for call in turn.calls]
        if calls and self._generation.checks_signatures:
            # Only the first of a step's calls is looked at (API documentation).
            calls[0].setdefault("thoughtSignature", PLACEHOLDER)
        yield {"role": turn.role, "parts": turn.parts + calls}
        if calls:
            answered = [self._respond(call) for call in turn.calls]
            beside = [part for _, parts in answered for part in parts]
            yield {"role": "user", "parts": [response for response, _ in answered] + beside}

    def _respond(self, call: _Call) -> tuple[Part, list[Part]]:
        """The function response for a call, and parts that must stand behind all of them.

        A result that is text stays text, whatever is in it: JSON taken apart could have an `output`
        or `error` of its own, which mean something to Gemini (SDK, FunctionResponse).
        """
        response: Json = {"name": call.name}
        if call.native_id:
            response["id"] = call.native_id
        if call.result is None:
            return {"functionResponse": {**response, "response": {"error": NO_RESULT}}}, []
        content = call.result.get("content")
        if content is not None and not isinstance(content, str | list):
            return {"functionResponse": {**response, "response": {"output": content}}}, []
        texts, media, beside = [], [], []
        for part in to_parts(_inline_only(content), call.result_param, self._generation):
            if "text" in part:
                texts.append(part["text"])
            elif self._generation.takes_media and _mime_type(part) in _RESPONSE_MEDIA:
                media.append({"inlineData": part["inlineData"]})
            else:
                beside += [{"text": f"[from the result of {call.name}]"}, part]
        key = "error" if call.result.get("is_error") is True else "output"
        response["response"] = {key: "\n".join(texts)}
        if media:
            response["parts"] = media
        return {"functionResponse": response}, beside


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
    """A result with images by address as text: Gemini takes only inline data there."""
    if not isinstance(content, list):
        return content
    return [_address(part) or part for part in content]


def _address(part: Any) -> str | None:
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else image
    is_address = isinstance(url, str) and not url.lower().startswith("data:")
    return str(url) if is_address else None


def read_arguments(arguments: object) -> Any:
    """The value of a call's `arguments`, which models and clients break in many ways.

    A part that is lost would leave its result without a call, so whatever cannot be read is kept
    as `{"_raw": "..."}`.
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


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_PARSERS: tuple[Callable[[str], Any], ...] = (
    lambda text: from_json(text, allow_inf_nan=False),
    # Raw line breaks in strings.
    lambda text: json.loads(text, strict=False, parse_constant=_refuse),
    # A call that was cut off at the token limit.
    lambda text: from_json(text, allow_inf_nan=False, allow_partial="trailing-strings"),
)

"""Reads Gemini's generateContent: requests, and responses whole or streamed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from addon.inspect.views.blocks import (
    as_object,
    as_text,
    call_block,
    error_message,
    inline_block,
    media_block,
    named,
    unknown_block,
    usage_messages,
)
from addon.inspect.views.conversation import (
    ASSISTANT,
    TOOL,
    USER,
    Block,
    Conversation,
    Kind,
    Message,
    Tool,
    joined,
)
from addon.inspect.views.json_text import pretty
from backends.jsonio import Json, objects, string
from backends.vendors.gemini.wire import Part

ROLES: Mapping[str, str] = {"model": ASSISTANT, "": USER}
OUTSIDE_PARAMETERS = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})
OUTSIDE_HEAD = frozenset({"candidates", "usageMetadata", "promptFeedback", "error"})


def read_request(events: Sequence[Json]) -> Conversation:
    request = events[0]
    messages = []
    if system := request.get("systemInstruction"):
        parts = objects(as_object(system).get("parts")) or [{"text": system}]
        messages.append(Message("system", list(blocks_of(parts))))
    for content in objects(request.get("contents")):
        messages += _messages(content)
    rest = {name: value for name, value in request.items() if name not in OUTSIDE_PARAMETERS}
    parameters = {**as_object(request.get("generationConfig")), **rest}
    return Conversation(messages, parameters, list(_tools(request)))


def _messages(content: Json) -> Iterator[Message]:
    """One message for each function result, and one for the other parts."""
    parts = objects(content.get("parts"))
    other = [part for part in parts if not part.get("functionResponse")]
    for part in parts:
        if result := part.get("functionResponse"):
            yield _result(as_object(result))
    if other or not parts:
        role = string(content.get("role")) or ""
        yield Message(ROLES.get(role, role), list(blocks_of(other)))


def _result(result: Json) -> Message:
    """A function result. Gemini takes only objects, so clients send a text as `output`."""
    response = result.get("response")
    text = string(as_object(response).get("output"))
    if text is None or len(as_object(response)) > 1:
        text = pretty(response)
    media = blocks_of(objects(result.get("parts")))
    return Message(TOOL, [Block("text", text), *media], named(result.get("name"), result.get("id")))


def _tools(request: Json) -> Iterator[Tool]:
    """The functions, and the names of tools that run at Google."""
    for tool in objects(request.get("tools")):
        for function in objects(tool.get("functionDeclarations")):
            yield Tool(named(function.get("name")), as_text(function.get("description")))
        yield from (Tool(name) for name in tool if name != "functionDeclarations")


def read_response(events: Sequence[Json]) -> Conversation:
    choices: dict[int, _ChoiceReader] = {}
    usage: Json = {}
    errors: list[object] = []
    for event in events:
        usage |= as_object(event.get("usageMetadata"))
        for candidate in objects(event.get("candidates")):
            index = candidate.get("index")  # 0 is left out
            choices.setdefault(index if isinstance(index, int) else 0, _ChoiceReader()).feed(
                candidate
            )
        feedback = as_object(event.get("promptFeedback"))
        if feedback.get("blockReason"):
            errors.append({"message": "Gemini blocked the prompt", **feedback})
        errors.append(event.get("error"))
    messages = [
        choice.message(f"choice {index}, " if len(choices) > 1 else "")
        for index, choice in sorted(choices.items())
    ]
    messages += map(error_message, filter(None, errors))
    head = {name: value for name, value in events[0].items() if name not in OUTSIDE_HEAD}
    return Conversation([*messages, *usage_messages(usage)], head)


@dataclass(slots=True)
class _ChoiceReader:
    blocks: list[Block] = field(default_factory=list)
    finish_reason: str = ""

    def feed(self, candidate: Json) -> None:
        self.blocks += blocks_of(objects(as_object(candidate.get("content")).get("parts")))
        if reason := string(candidate.get("finishMessage")):
            self.blocks.append(Block("other", reason))
        self.finish_reason = string(candidate.get("finishReason")) or self.finish_reason

    def message(self, prefix: str) -> Message:
        note = f"{prefix}finishReason {self.finish_reason or 'missing'}"
        return Message(ASSISTANT, joined(self.blocks), note)


NO_TEXT = Block("text")


def blocks_of(parts: Iterable[Part]) -> Iterator[Block]:
    for part in parts:
        block = _block(part)
        if block != NO_TEXT:
            yield block
        if part.get("thoughtSignature") and block.kind != "call":
            yield Block("signed")


def _block(part: Part) -> Block:
    if "functionCall" in part:
        return _call(part)
    if part.get("thought") and "text" in part:
        return Block("thinking", as_text(part["text"]))
    for name, read in PARTS.items():
        if name in part:
            return read(part[name])
    return unknown_block(part)


def _call(part: Part) -> Block:
    call = as_object(part["functionCall"])
    is_signed = bool(part.get("thoughtSignature"))
    arguments = pretty(call.get("args") or {})
    return call_block(call.get("name"), call.get("id"), arguments, is_signed=is_signed)


def _inline(value: object) -> Block:
    data = as_object(value)
    return inline_block(
        _kind(data), data.get("data"), data.get("displayName"), data.get("mimeType")
    )


def _file(value: object) -> Block:
    file = as_object(value)
    return media_block(_kind(file), file.get("fileUri"), file.get("mimeType"))


KINDS: Mapping[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}


def _kind(data: Json) -> Kind:
    return KINDS.get(as_text(data.get("mimeType")).partition("/")[0], "file")


# By the field that gives a part its type. Google runs the code.
PARTS: Mapping[str, Callable[[object], Block]] = {
    "text": lambda value: Block("text", as_text(value)),
    "inlineData": _inline,
    "fileData": _file,
    "executableCode": lambda value: Block("other", as_text(as_object(value).get("code"))),
    "codeExecutionResult": lambda value: Block("other", as_text(as_object(value).get("output"))),
}

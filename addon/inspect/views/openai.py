"""Reads OpenAI's chat completions: requests, and responses whole or streamed.

A whole response is read as a stream of one event: its message holds what the deltas add up to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    Block,
    Conversation,
    Message,
    Tool,
    joined,
)
from addon.inspect.views.json_text import pretty_source
from backends.jsonio import Json, objects, string

OUTSIDE_PARAMETERS = frozenset({"messages", "tools", "functions"})
OUTSIDE_HEAD = frozenset({"choices", "usage", "error", "object", "created"})


def read_request(events: Sequence[Json]) -> Conversation:
    chat = events[0]
    names: dict[str, str] = {}
    messages = []
    for message in objects(chat.get("messages")):
        reader = _MessageReader()
        reader.feed(message)
        names.update((call.id, call.name) for call in reader.calls)
        role = string(message.get("role")) or "(no role)"
        messages.append(Message(role, reader.blocks(), _note(message, names)))
    parameters = {name: value for name, value in chat.items() if name not in OUTSIDE_PARAMETERS}
    return Conversation(messages, parameters, list(_tools(chat)))


def _note(message: Json, names: Mapping[str, str]) -> str:
    """The call that a tool result belongs to, or the speaker's name."""
    id, name = string(message.get("tool_call_id")) or "", string(message.get("name")) or ""
    return named(names.get(id) or name, id) if id or message.get("role") == TOOL else name


def _tools(chat: Json) -> Iterator[Tool]:
    for tool in objects(chat.get("tools")) + objects(chat.get("functions")):
        function = as_object(tool.get("function") or tool.get("custom")) or tool
        yield Tool(
            named(function.get("name") or tool.get("type")), as_text(function.get("description"))
        )


def read_response(events: Sequence[Json]) -> Conversation:
    choices: dict[int, _ChoiceReader] = {}
    errors: list[object] = []
    usage: object = None
    for event in events:
        usage = event.get("usage") or usage
        for position, data in enumerate(objects(event.get("choices"))):
            choices.setdefault(_index(data, position), _ChoiceReader()).feed(data)
            errors.append(data.get("error"))
        errors.append(event.get("error"))
    messages = [
        choice.message(f"choice {index}, " if len(choices) > 1 else "")
        for index, choice in sorted(choices.items())
    ]
    messages += map(error_message, filter(None, errors))
    head = {name: value for name, value in events[0].items() if name not in OUTSIDE_HEAD}
    return Conversation([*messages, *usage_messages(usage)], head)


def _index(data: Json, position: int) -> int:
    index = data.get("index")
    return index if isinstance(index, int) else position


@dataclass(slots=True)
class _ToolCallReader:
    id: str = ""
    name: str = ""
    is_signed: bool = False
    arguments: list[str] = field(default_factory=list)

    def block(self) -> Block:
        arguments = pretty_source("".join(self.arguments))
        return call_block(self.name, self.id, arguments, is_signed=self.is_signed)


@dataclass(slots=True)
class _MessageReader:
    """Reads a message, or all deltas of a choice."""

    parts: list[Block] = field(default_factory=list)
    """All blocks but the tool calls."""
    calls: list[_ToolCallReader] = field(default_factory=list)
    newest: dict[int, _ToolCallReader] = field(default_factory=dict)
    """The last call for each index."""

    def feed(self, message: Json) -> None:
        self.parts += blocks_of(message)
        for position, call in enumerate(objects(message.get("tool_calls"))):
            self._feed_call(_index(call, position), call)
        if legacy := message.get("function_call"):
            self._feed_call(0, {"function": legacy})

    def _feed_call(self, index: int, data: Json) -> None:
        """Add a call or a fragment of one. A new id starts another call, even at the same index."""
        id = string(data.get("id")) or ""
        call = self.newest.get(index)
        if call is None or (id and call.id and id != call.id):
            call = self.newest[index] = _ToolCallReader()
            self.calls.append(call)
        function = as_object(data.get("function") or data.get("custom"))
        call.id = call.id or id
        call.name = call.name or string(function.get("name")) or ""
        call.is_signed |= is_signed(data)
        call.arguments.append(as_text(function.get("arguments") or function.get("input")))

    def blocks(self) -> list[Block]:
        return [*self.parts, *(call.block() for call in self.calls)]


@dataclass(slots=True)
class _ChoiceReader:
    reader: _MessageReader = field(default_factory=_MessageReader)
    finish_reason: str = ""
    native_finish_reason: str = ""

    def feed(self, data: Json) -> None:
        self.reader.feed(as_object(data.get("message") or data.get("delta")))
        if text := data.get("text"):  # the older `/completions`
            self.reader.parts.append(Block("text", as_text(text)))
        self.finish_reason = string(data.get("finish_reason")) or self.finish_reason
        self.native_finish_reason = (
            string(data.get("native_finish_reason")) or self.native_finish_reason
        )

    def message(self, prefix: str) -> Message:
        is_same = self.native_finish_reason.lower() in ("", self.finish_reason)
        native = "" if is_same else f" ({self.native_finish_reason})"
        note = f"{prefix}finish_reason {self.finish_reason or 'missing'}{native}"
        return Message(ASSISTANT, joined(self.reader.blocks()), note)


def blocks_of(message: Json) -> Iterator[Block]:
    """Blocks of a message without its tool calls, reasoning first, whatever the order of fields."""
    yield from _thinking(message)
    for name, read in FIELDS.items():
        if value := message.get(name):
            yield from read(value)
    if is_signed(message):
        yield Block("signed")


def is_signed(holder: Json) -> bool:
    """Whether it carries a Gemini signature, in the form of Google's OpenAI API."""
    google = as_object(as_object(holder.get("extra_content")).get("google"))
    return bool(google.get("thought_signature"))


def _thinking(message: Json) -> Iterator[Block]:
    """The reasoning, which OpenRouter sends twice: as text and as details."""
    details = objects(message.get("reasoning_details"))
    texts = (message.get("reasoning"), message.get("reasoning_content"))
    in_detail = "".join(as_text(each.get("text") or each.get("summary")) for each in details)
    if text := next(filter(None, map(string, texts)), in_detail):
        yield Block("thinking", text)
    if any(each.get("signature") or each.get("data") for each in details):
        yield Block("signed")


def content_of(value: object) -> Iterator[Block]:
    """Blocks of a `content`: a text, or a list of typed parts."""
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, dict):
            yield Block("text", as_text(part))
            continue
        kind = string(part.get("type")) or ""
        read = PARTS.get(kind)
        yield read(part.get(kind)) if read else unknown_block(part)


def _audio(value: object) -> Iterator[Block]:
    """Speech in a response, or the id of earlier speech in a request."""
    audio = as_object(value)
    if transcript := string(audio.get("transcript")):
        yield Block("text", transcript)
    if data := audio.get("data"):
        yield inline_block("audio", data, audio.get("mime_type"))
    elif id := string(audio.get("id")):
        yield media_block("audio", id)


FIELDS: Mapping[str, Callable[[object], Iterator[Block]]] = {
    "content": content_of,
    "refusal": lambda value: iter([Block("refusal", as_text(value))]),
    "images": content_of,
    "audio": _audio,
}


def _url(value: object) -> object:
    """The address in `{"url": ...}`; some clients send it bare."""
    return value.get("url") if isinstance(value, dict) else value


def _sound(value: object) -> Block:
    audio = as_object(value)
    return inline_block("audio", audio.get("data"), audio.get("format"))


def _file(value: object) -> Block:
    file = as_object(value)
    data = string(file.get("file_data")) or ""
    if data and not data.startswith(("data:", "http")):
        return inline_block("file", data, file.get("filename"))
    return media_block("file", data or file.get("file_id"), file.get("filename"))


# By a part's `type`, which is also the name of the field that holds its content.
PARTS: Mapping[str, Callable[[object], Block]] = {
    "text": lambda value: Block("text", as_text(value)),
    "refusal": lambda value: Block("refusal", as_text(value)),
    "image_url": lambda value: media_block("image", _url(value)),
    "video_url": lambda value: media_block("video", _url(value)),
    "input_audio": _sound,
    "file": _file,
}

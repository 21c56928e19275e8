"""Reads OpenAI's Responses API: requests, and responses whole or streamed."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from addon.inspect.views import embeddings
from addon.inspect.views.blocks import (
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
    ERROR,
    TOOL,
    Block,
    Conversation,
    Message,
    Tool,
    text_message,
)
from addon.inspect.views.json_text import pretty_source
from addon.inspect.views.openai import content_of
from backends.jsonio import Json, objects, string

OUTSIDE_PARAMETERS = frozenset({"input", "instructions", "tools"})
HEAD = ("id", "model", "status", "incomplete_details")
LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


def read_request(events: Sequence[Json]) -> Conversation:
    request = events[0]
    content = request.get("input")
    is_conversation = any("type" in item or "role" in item for item in objects(content))
    if not is_conversation and not {"instructions", "tools"} & request.keys():
        return embeddings.read_request(events)
    messages = (
        [text_message("system", as_text(text))] if (text := request.get("instructions")) else []
    )
    items = (
        objects(content) if isinstance(content, list) else [{"role": "user", "content": content}]
    )
    parameters = {name: value for name, value in request.items() if name not in OUTSIDE_PARAMETERS}
    tools = [
        Tool(named(tool.get("name") or tool.get("type")), as_text(tool.get("description")))
        for tool in objects(request.get("tools"))
    ]
    return Conversation([*messages, *_messages(items)], parameters, tools)


def read_response(events: Sequence[Json]) -> Conversation | None:
    """Read a whole response, or a stream's last event, which repeats everything.

    Of a stream that broke off it reads the items that arrived.
    """
    last = events[-1]
    is_stream = "output" not in events[0]
    responses = [each for event in events if isinstance(each := event.get("response"), dict)]
    response = (responses[-1] if responses else {}) if is_stream else last
    is_over = not is_stream or string(last.get("type")) in LAST
    messages = _messages(
        objects(response.get("output")) if is_over else list(_partial_items(events))
    )
    if response.get("error"):
        messages.append(error_message(response["error"]))
    if not is_over:
        messages.append(text_message(ERROR, "The stream ended without response.completed."))
    messages += usage_messages(response.get("usage"))
    head = {name: response[name] for name in HEAD if response.get(name)}
    return Conversation(messages, head) if messages else None


def _partial_items(events: Sequence[Json]) -> Iterator[Json]:
    """The items of a truncated stream; of an unfinished item the text."""
    texts: dict[str | None, list[str]] = {}
    for event in events:
        match event:
            case {"type": "response.output_item.done", "item": dict(item)}:
                texts.pop(string(item.get("id")), None)
                yield item
            case {"type": "response.output_text.delta", "item_id": str(id), "delta": str(delta)}:
                texts.setdefault(id, []).append(delta)
    for pieces in texts.values():
        yield {"type": "message", "role": ASSISTANT, "content": "".join(pieces)}


def _messages(items: Sequence[Json]) -> list[Message]:
    """One message for each turn of a role; text, reasoning and calls of the model share one."""
    messages: list[Message] = []
    names: dict[str, str] = {}
    for item in items:
        kind = string(item.get("type")) or "message"
        id = string(item.get("call_id")) or ""
        if name := string(item.get("name")):
            names[id] = name
        if kind.endswith("_output"):
            output = list(_content(item.get("output")))
            messages.append(Message(TOOL, output, named(names.get(id), id)))
            continue
        role = (string(item.get("role")) or "(no role)") if kind == "message" else ASSISTANT
        blocks = list(ITEMS.get(kind, _call if kind.endswith("_call") else _unknown)(item))
        if messages and role == messages[-1].role == ASSISTANT:
            blocks = [*messages.pop().blocks, *blocks]
        messages.append(Message(role, blocks))
    return messages


def _content_of(item: Json) -> Iterator[Block]:
    return _content(item.get("content"))


def _thinking(item: Json) -> Iterator[Block]:
    parts = objects(item.get("summary")) + objects(item.get("content"))
    if text := "\n\n".join(as_text(part.get("text")) for part in parts):
        yield Block("thinking", text)
    if item.get("encrypted_content"):
        yield Block("signed")


def _call(item: Json) -> Iterator[Block]:
    arguments = (
        item.get("arguments") if "arguments" in item else item.get("input", item.get("action"))
    )
    text = pretty_source(arguments) if isinstance(arguments, str) else as_text(arguments)
    yield call_block(
        item.get("name") or item.get("type"), item.get("call_id"), text, is_signed=False
    )


def _unknown(item: Json) -> Iterator[Block]:
    yield unknown_block(item)


ITEMS: Mapping[str, Callable[[Json], Iterator[Block]]] = {
    "message": _content_of,
    "reasoning": _thinking,
}
"""By an item's type. `_call` reads all types that end in `_call`."""


def _content(value: object) -> Iterator[Block]:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict) and (read := PARTS.get(string(part.get("type")) or "")):
            yield read(part)
        else:
            yield from content_of([part])


def _text(part: Json) -> Block:
    return Block("text", as_text(part.get("text")))


def _file(part: Json) -> Block:
    if data := part.get("file_data"):
        return inline_block("file", data, part.get("filename"))
    return media_block("file", part.get("file_url") or part.get("file_id"), part.get("filename"))


PARTS: Mapping[str, Callable[[Json], Block]] = {
    "input_text": _text,
    "output_text": _text,
    "summary_text": _text,
    "refusal": lambda part: Block("refusal", as_text(part.get("refusal"))),
    "input_image": lambda part: media_block("image", part.get("image_url") or part.get("file_id")),
    "input_file": _file,
}

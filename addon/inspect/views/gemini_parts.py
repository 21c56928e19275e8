"""The parts of Gemini's contents."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from addon.inspect.views.blocks import (
    as_object,
    as_text,
    call_block,
    inline_block,
    media_block,
    unknown_block,
)
from addon.inspect.views.conversation import Block, Kind
from addon.inspect.views.json_text import pretty
from backends.jsonio import Json
from backends.vendors.gemini.wire import Part

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


# By the field that makes a part what it is. Code runs on Google's side.
PARTS: Mapping[str, Callable[[object], Block]] = {
    "text": lambda value: Block("text", as_text(value)),
    "inlineData": _inline,
    "fileData": _file,
    "executableCode": lambda value: Block("other", as_text(as_object(value).get("code"))),
    "codeExecutionResult": lambda value: Block("other", as_text(as_object(value).get("output"))),
}

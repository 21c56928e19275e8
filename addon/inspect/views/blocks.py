"""Builds the blocks and messages that the readers of all APIs share."""

from collections.abc import Mapping

from addon.inspect.views.conversation import ERROR, Block, Kind, Message, text_message
from addon.inspect.views.json_text import clipped, fields, pretty, short
from backends.jsonio import Json

MAX_ADDRESS = 500
MAX_NAME = 200


def as_text(value: object) -> str:
    """The text itself; JSON of any other value."""
    return value if isinstance(value, str) else "" if value is None else pretty(value)


def as_object(value: object) -> Json:
    """The object itself; an empty one instead of any other value."""
    return value if isinstance(value, dict) else {}


def named(name: object, id: object = None) -> str:
    """A tool's name, with the id of the call if there is one."""
    shown = _words(name) or "unnamed"
    return f"{shown} ({_words(id)})" if id else shown


def call_block(name: object, id: object, arguments: str, *, is_signed: bool) -> Block:
    note = ", ".join(filter(None, (_words(id), "signed" if is_signed else "")))
    return Block("call", arguments, named(name), note)


def media_block(kind: Kind, address: object, name: object = None) -> Block:
    """Media by address. Data instead of an address is counted, not shown."""
    if not isinstance(address, str):
        return inline_block(kind, None, name)
    if address[:5].lower() == "data:":
        head, _, data = address.partition(",")
        return inline_block(kind, data, name, head[5:].partition(";")[0])
    if "://" not in address[:20] and len(address) > MAX_NAME:
        return inline_block(kind, address, name)
    return Block(kind, clipped(address, MAX_ADDRESS), _words(name))


def inline_block(kind: Kind, data: object, *names: object) -> Block:
    """Media in base64; `names` are its name and type, if known."""
    size = len(data.rstrip("=")) * 3 // 4 if isinstance(data, str) else 0
    return Block(kind, title=_words(*names), size=size)


def _words(*values: object) -> str:
    """The values that are text, on one line."""
    texts = (value for value in values if isinstance(value, str) and value)
    return " ".join(clipped(text, MAX_NAME) for text in texts)


def unknown_block(value: object) -> Block:
    """A value of unknown type, as JSON."""
    return Block("other", short(value, MAX_ADDRESS))


def error_message(error: object) -> Message:
    """An error's message, and its other fields."""
    if not isinstance(error, dict):
        return text_message(ERROR, as_text(error))
    rest = {name: value for name, value in error.items() if name != "message" and value is not None}
    nested = {name: value for name, value in rest.items() if isinstance(value, dict | list)}
    flat = {name: value for name, value in rest.items() if name not in nested}
    lines = [as_text(error.get("message")), fields(flat), pretty(nested) if nested else ""]
    return text_message(ERROR, "\n".join(filter(None, lines)))


def usage_messages(usage: object) -> list[Message]:
    """A message with the counts that are not zero, if there are any."""
    counts = as_object(usage)
    parts = {name: _numbers(value) for name, value in counts.items() if isinstance(value, dict)}
    shown = _numbers(counts) | {name: f"({fields(each)})" for name, each in parts.items() if each}
    return [text_message("usage", fields(shown))] if shown else []


def _numbers(counts: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value for name, value in counts.items() if isinstance(value, int | float) and value
    }

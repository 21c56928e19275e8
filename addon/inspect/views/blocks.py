"""What the readers of all wires share: loose values as text, calls, media, errors, usage."""

from collections.abc import Mapping

from addon.inspect.views.conversation import ERROR, Block, Kind, Message, text_message
from addon.inspect.views.json_text import clipped, fields, pretty, short
from backends.jsonio import Json

LONGEST_ADDRESS = 500
LONGEST_NAME = 200


def as_text(value: object) -> str:
    """A text as it is; what stands in the place of one as JSON."""
    return value if isinstance(value, str) else "" if value is None else pretty(value)


def as_object(value: object) -> Json:
    """An object as it is; in the place of anything else an empty one."""
    return value if isinstance(value, dict) else {}


def named(name: object, id: object = None) -> str:
    """A tool's name, or a call's by name and id."""
    shown = _words(name) or "unnamed"
    return f"{shown} ({_words(id)})" if id else shown


def call_block(name: object, id: object, arguments: str, *, is_signed: bool) -> Block:
    note = ", ".join(filter(None, (_words(id), "signed" if is_signed else "")))
    return Block("call", arguments, named(name), note)


def media_block(kind: Kind, address: object, name: object = None) -> Block:
    """An image or the like. Data in the address, or in its place, is counted and not shown."""
    if not isinstance(address, str):
        return inline_block(kind, None, name)
    if address[:5].lower() == "data:":
        head, _, data = address.partition(",")
        return inline_block(kind, data, name, head[5:].partition(";")[0])
    if "://" not in address[:20] and len(address) > LONGEST_NAME:
        return inline_block(kind, address, name)
    return Block(kind, clipped(address, LONGEST_ADDRESS), _words(name))


def inline_block(kind: Kind, data: object, *names: object) -> Block:
    """A medium in base64; `names` are what is known of its name and type."""
    size = len(data.rstrip("=")) * 3 // 4 if isinstance(data, str) else 0
    return Block(kind, title=_words(*names), size=size)


def _words(*values: object) -> str:
    """Those that are text, on one line."""
    texts = (value for value in values if isinstance(value, str) and value)
    return " ".join(clipped(text, LONGEST_NAME) for text in texts)


def unknown_block(value: object) -> Block:
    """What no table has a row for."""
    return Block("other", short(value, LONGEST_ADDRESS))


def error_message(error: object) -> Message:
    """An error's message, and all else that it tells."""
    if not isinstance(error, dict):
        return text_message(ERROR, as_text(error))
    rest = {name: value for name, value in error.items() if name != "message" and value is not None}
    nested = {name: value for name, value in rest.items() if isinstance(value, dict | list)}
    flat = {name: value for name, value in rest.items() if name not in nested}
    lines = [as_text(error.get("message")), fields(flat), pretty(nested) if nested else ""]
    return text_message(ERROR, "\n".join(filter(None, lines)))


def usage_messages(usage: object) -> list[Message]:
    """The counts that are not zero; no message if there are none."""
    counts = as_object(usage)
    parts = {name: _numbers(value) for name, value in counts.items() if isinstance(value, dict)}
    shown = _numbers(counts) | {name: f"({fields(each)})" for name, each in parts.items() if each}
    return [text_message("usage", fields(shown))] if shown else []


def _numbers(counts: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value for name, value in counts.items() if isinstance(value, int | float) and value
    }

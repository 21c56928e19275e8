"""Renders JSON values as readable text; no function here raises."""

import json
from collections.abc import Callable, Mapping

from pydantic_core import to_json

from backends import jsonio

MAX_SPACES_PER_VALUE = 32
"""On average, in a large document."""
MIN_SPACES = 4096
"""A document may have this many anyway."""

MAX_VALUE = 120
TOO_DEEP = "(nested too deeply to be shown)"


def pretty(value: object) -> str:
    """Indented JSON; compact if indentation would be mostly spaces."""
    for write in WRITERS[-1:] if is_too_deep(value) else WRITERS:
        try:
            # mitmproxy shows DEL as a dot and cannot show lone surrogates.
            return printable(write(value)).replace("\x7f", "\\u007f")
        except (ValueError, RecursionError):
            continue
    return TOO_DEEP


def _compact(value: object) -> str:
    return jsonio.encode(value).decode()


WRITERS: tuple[Callable[[object], str], ...] = (
    lambda value: to_json(value, indent=2).decode(),
    # Slow, but accepts lone surrogates and deeper nesting.
    lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    _compact,
)


def is_too_deep(value: object) -> bool:
    """Whether indented JSON of it would be mostly spaces."""
    values = spaces = depth = 0
    level = [value]
    while level:
        containers = [each for each in level if isinstance(each, dict | list)]
        values += len(level)
        spaces += 2 * depth * len(level)
        depth += 1
        level = [
            child
            for each in containers
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return spaces > MAX_SPACES_PER_VALUE * values + MIN_SPACES


def pretty_source(source: str) -> str:
    """Indented JSON text; any other text unchanged."""
    try:
        return pretty(jsonio.decode(source.encode("utf-8", "surrogatepass")))
    except ValueError:
        return source


def fields(values: Mapping[str, object]) -> str:
    """One line, such as `temperature 0.2, stream true`, with long values cut."""
    return ", ".join(f"{name} {short(value, MAX_VALUE)}" for name, value in values.items())


def short(value: object, length: int) -> str:
    """A text, or JSON of another value, cut to `length`."""
    try:
        return clipped(value if isinstance(value, str) else _compact(value), length)
    except (ValueError, RecursionError):
        return TOO_DEEP


def clipped(text: str, length: int) -> str:
    """The start of a text, on one line."""
    line = " ".join(text[: length + 1].split())
    return line if len(text) <= length else f"{line[: length - 1]}…"


def printable(text: str) -> str:
    """`text` with lone surrogates escaped: UTF-8 cannot encode them."""
    return text.encode("utf-8", "backslashreplace").decode()

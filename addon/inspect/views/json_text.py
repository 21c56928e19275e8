"""JSON values as text for people; nothing here raises, whatever the value."""

import json
from collections.abc import Callable, Mapping

from pydantic_core import to_json

from backends import jsonio

MOST_SPACES = 32
"""For each value of a large whole, on an average."""
SPACES_OF_SMALL = 4096

LONGEST_VALUE = 120
TOO_DEEP = "(nested too deeply to be shown)"


def pretty(value: object) -> str:
    """Indented, unless it is nested so deeply that this would be mostly spaces."""
    for write in WRITERS[-1:] if is_too_deep(value) else WRITERS:
        try:
            # Mitmproxy shows DEL as a dot; lone surrogates cannot be shown at all.
            return printable(write(value)).replace("\x7f", "\\u007f")
        except (ValueError, RecursionError):
            continue
    return TOO_DEEP


def _compact(value: object) -> str:
    return jsonio.encode(value).decode()


WRITERS: tuple[Callable[[object], str], ...] = (
    lambda value: to_json(value, indent=2).decode(),
    # Slow, but takes what `to_json` refuses: lone surrogates and a deeper nesting.
    lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    _compact,
)


def is_too_deep(value: object) -> bool:
    """Whether indented it would be mostly spaces: they are size times depth."""
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
    return spaces > MOST_SPACES * values + SPACES_OF_SMALL


def pretty_source(source: str) -> str:
    """JSON text indented; any other text as it is."""
    try:
        return pretty(jsonio.decode(source.encode("utf-8", "surrogatepass")))
    except ValueError:
        return source


def fields(values: Mapping[str, object]) -> str:
    """One line, such as `temperature 0.2, stream true`; what is long is cut."""
    return ", ".join(f"{name} {short(value, LONGEST_VALUE)}" for name, value in values.items())


def short(value: object, length: int) -> str:
    """A text as it is, anything else as JSON; cut to `length`."""
    try:
        return clipped(value if isinstance(value, str) else _compact(value), length)
    except (ValueError, RecursionError):
        return TOO_DEEP


def clipped(text: str, length: int) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: length + 1].split())
    return line if len(text) <= length else f"{line[: length - 1]}…"


def printable(text: str) -> str:
    """`text` with its lone surrogates as JSON writes them: they have no bytes in UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()

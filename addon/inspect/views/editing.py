"""Converts a JSON body to editable text and back without loss; other bodies stay plain text."""

import json
from typing import Any

from mitmproxy.utils import strutils

from addon.inspect.views import yaml_text
from addon.inspect.views.json_text import is_too_deep, pretty, printable
from backends import jsonio

MAX_YAML_BYTES = 2**20
MAX_YAML_VALUES = 50_000
"""Larger YAML takes seconds."""


def to_editable(data: bytes) -> str:
    """YAML if it is fast and can hold every value, else JSON, else the text as it is."""
    try:
        value = jsonio.decode(data)
        same = _encode(value)
    except ValueError:
        return data.decode("utf-8", "replace")
    for write in (yaml_text.write, pretty) if _is_fit_for_yaml(data, value) else (pretty,):
        try:
            text = printable(write(value))
            if _encode(_read(text)) == same:
                return text
        except (ValueError, RecursionError):
            continue
    return data.decode("utf-8", "replace")


def _is_fit_for_yaml(data: bytes, value: object) -> bool:
    is_small = len(data) <= MAX_YAML_BYTES and data.count(b",") < MAX_YAML_VALUES
    return is_small and not is_too_deep(value)


def from_editable(text: str, original: bytes | None) -> bytes:
    """The body for an edited text; `original` if the meaning is unchanged.

    Raises ValueError that says what is wrong with the text.
    """
    if original is None:
        return _encode(_read(text))
    shown = to_editable(original)
    if text == shown or _normal(text) == _normal(strutils.escape_control_characters(shown)):
        return original
    try:
        before = jsonio.decode(original)
        same = _encode(before)
    except ValueError:
        return text.encode()
    value = _read(text)
    if isinstance(before, dict) and not isinstance(value, dict):
        raise ValueError("the body must stay an object, which is lines of 'name: value'")
    data = _encode(value)
    return original if data == same else data


def _encode(value: Any) -> bytes:
    """Keeps 1 and 1.0 apart. Raises ValueError for values that JSON lacks, such as 1E400."""
    try:
        json.dumps(value, allow_nan=False)
        return jsonio.encode(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _normal(text: str) -> str:
    """Undo changes that editors make to line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _read(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return yaml_text.read(text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None

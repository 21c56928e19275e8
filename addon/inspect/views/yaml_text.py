"""Writes JSON values as YAML that people can edit, and reads it back.

PyYAML's writer turns a text into one long escaped line if one of its lines ends in a space.

An unquoted word is text unless it is a JSON literal: `no`, `1_000` and `2024-01-01` are texts. Keys
are always text.
"""

import json
import math
import re
from typing import Any

import yaml

from backends import jsonio

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_UNFIT = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Characters that YAML does not accept unescaped, or reads as line ends."""

_NEEDS_QUOTES = re.compile(
    r"""\A(?:[-?:,\[\]{}#&*!|>'"%@`\s]|\.\.\.|\Z)|:(?:\s|\Z)|\s#|\s\Z|[^\S ]"""
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


def write(value: Any) -> str:
    """Raises RecursionError if the value is nested too deeply."""
    lines: list[str] = []
    _append(lines, "", "", value)
    return "\n".join([*lines, ""])


def _append(lines: list[str], lead: str, indent: str, value: Any) -> None:
    """Append a value. `lead` precedes it on its line: up to the `: ` of a key or a `- `."""
    is_below_key = lead.endswith(": ")
    if value and isinstance(value, dict | list) and is_below_key:
        lines.append(lead.rstrip(" "))
        indent += "  " if isinstance(value, dict) else ""
        lead = indent
    if value and isinstance(value, dict):
        for key, child in value.items():
            _append(lines, f"{lead}{_quoted(key)}: ", indent, child)
            lead = indent
    elif value and isinstance(value, list):
        for child in value:
            _append(lines, f"{lead}- ", f"{indent}  ", child)
            lead = indent
    elif isinstance(value, str) and "\n" in value.strip("\n") and not _UNFIT.search(value):
        _append_block(lines, lead, indent if lead.endswith("- ") else f"{indent}  ", value)
    else:
        scalar = _quoted(value) if isinstance(value, str) else jsonio.encode(value).decode()
        lines.append(f"{lead}{scalar}")


def _append_block(lines: list[str], lead: str, indent: str, text: str) -> None:
    """Append a literal block; its head gives the indent if the text starts with a blank."""
    width = "2" if text[0] in " \t\n" else ""
    rest = text.removesuffix("\n")
    chomping = "-" if rest == text else "+" if rest.endswith("\n") else ""
    lines.append(f"{lead}|{width}{chomping}")
    lines += [line and f"{indent}{line}" for line in rest.split("\n")]


def _quoted(text: str) -> str:
    """Quote only if needed, and in single quotes if the text contains JSON."""
    if not (_UNFIT.search(text) or "\n" in text):
        if not (_NEEDS_QUOTES.search(text) or _is_literal(text)):
            return text
        if '"' in text or "\\" in text:
            return "'" + text.replace("'", "''") + "'"
    escaped = json.dumps(text, ensure_ascii=False)
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)


def _is_literal(text: str) -> bool:
    return text in _WORDS or bool(_NUMBER.fullmatch(text))


def read(text: str) -> Any:
    """The value of a YAML text. Raises ValueError that names the wrong line."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        return _value(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"line {line}: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: {error.reason}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _value(node: yaml.Node) -> Any:
    if node.tag not in _PLAIN_TAGS:
        raise _fault(node, f"JSON has no {node.tag}")
    if isinstance(node, yaml.SequenceNode):
        return [_value(child) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    assert isinstance(node, yaml.ScalarNode)
    return _literal(node) if not node.style and _is_literal(node.value) else node.value


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, child in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _fault(key, "a key must be text")
        if key.value in values:
            raise _fault(key, f"the key {key.value!r} is there twice")
        values[key.value] = _value(child)
    return values


def _literal(node: yaml.ScalarNode) -> Any:
    if node.value in _WORDS:
        return _WORDS[node.value]
    try:
        number = json.loads(node.value)
    except ValueError:
        number = math.inf
    if number in (math.inf, -math.inf):
        raise _fault(node, "the number is too large")
    return number


def _fault(node: yaml.Node, problem: str) -> ValueError:
    return ValueError(f"line {node.start_mark.line + 1}: {problem}")

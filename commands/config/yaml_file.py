"""YAML as plain values that know their lines.

A scalar stays the text that stands there, so that `no`, `1.10` and `8000` mean the same here as in
the environment. What it is meant to be is for whoever checks it.
"""

from typing import NamedTuple

import yaml

Place = tuple[int | str, ...]
"""Keys and list indexes from the top of a file down to a value."""

_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
_NULLS = {"", "~", "null"}


class YamlError(Exception):
    """Why a file cannot be read, in one line that begins with the file's name and the line."""


class YamlFile(NamedTuple):
    """`values` consists of dict, list, str, and None where nothing or null is written."""

    name: str
    values: dict[str, object]
    lines: dict[Place, int]

    def where(self, place: Place) -> str:
        """File and line of what is at `place`, or of what is nearest around it."""
        while place not in self.lines:
            place = place[:-1]
        return f"{self.name} line {self.lines[place]}"


def read_yaml(text: str, name: str) -> YamlFile:
    """The mapping in a YAML text; `name` is the file's for errors. YamlError if there is none."""
    lines: dict[Place, int] = {}
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        values = _plain(root, (), lines) if root else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(f"{name} line {line}: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"{name} line {line}: {error.reason}") from None
    except RecursionError:
        raise YamlError(f"{name} line 1: nested too deeply") from None
    if values is None:
        return YamlFile(name, {}, {(): 1})
    if not isinstance(values, dict):
        raise YamlError(f"{name} line {lines[()]}: must be a list of 'setting: value' lines")
    return YamlFile(name, values, lines)


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int]) -> object:
    """The node's value; into `lines` goes where it and all in it stand, for a value its key."""
    lines.setdefault(place, node.start_mark.line + 1)
    if node.tag not in _PLAIN_TAGS:
        raise _fault(node, "text that starts with '!' needs quotes")
    if isinstance(node, yaml.MappingNode):
        values = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, "a key must be text")
            inner = (*place, key.value)
            if inner in lines:
                raise _fault(key, f"'{key.value}' is given twice")
            lines[inner] = key.start_mark.line + 1
            values[key.value] = _plain(value, inner, lines)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, index), lines) for index, item in enumerate(node.value)]
    is_quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
    return node.value if is_quoted or node.value not in _NULLS else None


def _fault(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

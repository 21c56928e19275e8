"""Reads YAML as plain values with their line numbers.

Scalars stay text, so that `no`, `1.10` and `8000` mean the same here as in the environment.
"""

from typing import NamedTuple

import yaml

KeyPath = tuple[int | str, ...]
"""Keys and list indexes from the top of a file down to a value."""

_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
_NULLS = {"", "~", "null"}


class YamlError(Exception):
    """The reason why a file cannot be read, behind its name and the line."""


class YamlFile(NamedTuple):
    """The content of a file."""

    name: str
    values: dict[str, object]
    """Nested dict, list and str, and None for an empty value or null."""
    lines: dict[KeyPath, int]

    def where(self, path: KeyPath) -> str:
        """File and line of the value at `path`, or of the nearest value that contains it."""
        while path not in self.lines:
            path = path[:-1]
        return f"{self.name} line {self.lines[path]}"


def read_yaml(text: str, name: str) -> YamlFile:
    """Read a YAML text that is a mapping. Raises YamlError, which shows `name`."""
    lines: dict[KeyPath, int] = {}
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


def _plain(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> object:
    """The node's value. Adds the lines of all values inside it to `lines`, by their keys."""
    lines.setdefault(path, node.start_mark.line + 1)
    if node.tag not in _PLAIN_TAGS:
        raise _fault(node, "text that starts with '!' needs quotes")
    if isinstance(node, yaml.MappingNode):
        values = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, "a key must be text")
            inner = (*path, key.value)
            if inner in lines:
                raise _fault(key, f"'{key.value}' is given twice")
            lines[inner] = key.start_mark.line + 1
            values[key.value] = _plain(value, inner, lines)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines) for index, item in enumerate(node.value)]
    is_quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
    return node.value if is_quoted or node.value not in _NULLS else None


def _fault(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

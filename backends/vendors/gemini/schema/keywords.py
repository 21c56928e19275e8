"""Rewrites JSON Schema keywords that Gemini does not know: one function for each.

Each function changes a copy of one node in place, but not its subschemas.
"""

import math
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from backends.jsonio import Json, number, string

TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}
"""Maps Python types to JSON Schema's names."""

_KNOWN = frozenset(TYPES.values())
_NUMBERS = ("integer", "number")


def types_of(node: Json) -> list[str]:
    """The types that a node allows, in order, each once; empty if it names none."""
    names = node.get("type")
    names = filter(string, names if isinstance(names, list) else [names])
    return [name for name in dict.fromkeys(names) if name in _KNOWN]


def _list(node: Json, key: str) -> list[Any]:
    """The list in a keyword; empty if it holds anything else."""
    value = node.get(key)
    return value if isinstance(value, list) else []


def _one_of(node: Json) -> None:
    branches = node.get("oneOf")
    if isinstance(branches, list):
        node["anyOf"] = [*_list(node, "anyOf"), *branches]


def _const(node: Json) -> None:
    if "const" in node:
        node["enum"] = [node["const"]]


def _enum(node: Json) -> None:
    """Drop empty values: "enum[0]: cannot be empty" (issue reports)."""
    if "enum" in node:
        node["enum"] = [value for value in _list(node, "enum") if value != ""]
        if not node["enum"]:
            del node["enum"]


def _tuple(node: Json) -> None:
    """Rewrite a list of `items`: before draft 2020-12 it described the positions."""
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
    positions = node.get("prefixItems")
    if isinstance(positions, list) and "items" not in node:
        node.setdefault("minItems", len(positions))
        node.setdefault("maxItems", len(positions))


def _type(node: Json) -> None:
    """Keep known types; guess them if there are none."""
    types = types_of(node) or _guess(node)
    node.pop("type", None)
    if types:
        node["type"] = types[0] if len(types) == 1 else types


def _guess(node: Json) -> list[str]:
    if isinstance(node.get("properties"), dict):
        return ["object"]
    if "items" in node or "prefixItems" in node:
        return ["array"]
    names = (TYPES.get(type(value), "object") for value in _list(node, "enum"))
    return list(dict.fromkeys(names))


def _nullable(node: Json) -> None:
    """Add the type null for OpenAPI's `nullable`."""
    if node.get("nullable") is not True:
        return
    if types := types_of(node):
        node["type"] = list(dict.fromkeys([*types, "null"]))
    if isinstance(node.get("anyOf"), list):
        node["anyOf"] = [*node["anyOf"], {"type": "null"}]
    if "enum" in node and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]


def _minimum(node: Json) -> None:
    _bound(node, "exclusiveMinimum", "minimum", lambda limit: math.floor(limit) + 1, max)


def _maximum(node: Json) -> None:
    _bound(node, "exclusiveMaximum", "maximum", lambda limit: math.ceil(limit) - 1, min)


def _bound(
    node: Json,
    exclusive: str,
    inclusive: str,
    next_integer: Callable[[float], int],
    tighter: Callable[[float, float], float],
) -> None:
    """Make an exclusive limit inclusive: exact for integers, approximate for other numbers.

    In draft 4 the exclusive keyword is a boolean that makes the inclusive limit exclusive.
    """
    limit = node.get(exclusive)
    if limit is True:
        limit = node.pop(inclusive, None)
    limit = number(limit)
    if limit is None:
        return
    if "number" not in types_of(node):
        limit = next_integer(limit)
    other = number(node.get(inclusive))
    node[inclusive] = limit if other is None else tighter(limit, other)


def _hints(node: Json) -> None:
    """Describe constraints without a keyword in words."""
    hints = []
    if number(node.get("multipleOf")) is not None:
        hints.append(f"A multiple of {node['multipleOf']}.")
    if node.get("uniqueItems") is True:
        hints.append("No item occurs twice.")
    describe(node, hints)


def describe(node: Json, hints: list[str]) -> None:
    """Append sentences to a node's description."""
    if hints:
        description = string(node.get("description"))
        node["description"] = " ".join([description, *hints] if description else hints)


REWRITES: tuple[Callable[[Json], None], ...] = (
    _one_of,
    _const,
    _enum,
    _tuple,
    _type,
    _nullable,
    _minimum,
    _maximum,
    _hints,
)
"""In this order, as each relies on the results of the earlier ones."""


def merge(schemas: list[Json]) -> Json:
    """Merge a node and its branches of `allOf`; in a conflict the first wins."""
    merged: Json = {}
    for schema in reversed(schemas):
        merged.update(schema)
    for key, (kind, join) in _JOINS.items():
        values = [schema[key] for schema in schemas if key in schema]
        if values and isinstance(values[0], kind):
            merged[key] = join([value for value in values if isinstance(value, kind)])
    return merged


def _join_properties(values: list[Json]) -> Json:
    return dict(chain.from_iterable(value.items() for value in reversed(values)))


_JOINS: Mapping[str, tuple[type, Callable[[list[Any]], Any]]] = {
    "properties": (dict, _join_properties),
    "required": (list, lambda values: list(chain.from_iterable(values))),
}

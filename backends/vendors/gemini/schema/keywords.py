"""Rewrites JSON Schema keywords that Gemini does not know: one function for each.

Each function changes a copy of one node in place, but not its subschemas.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from backends.jsonio import Json, string

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
    """The types that a node allows, in order; empty if it names none."""
    names = node.get("type")
    return [name for name in (names if isinstance(names, list) else [names]) if name in _KNOWN]


def _one_of(node: Json) -> None:
    branches = node.get("oneOf")
    if isinstance(branches, list):
        node["anyOf"] = [*(node.get("anyOf") or ()), *branches]


def _const(node: Json) -> None:
    if "const" in node:
        node["enum"] = [node["const"]]


def _enum(node: Json) -> None:
    """Drop empty values: "enum[0]: cannot be empty" (issue reports)."""
    if isinstance(node.get("enum"), list):
        node["enum"] = [value for value in node["enum"] if value != ""]
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
    names = (TYPES.get(type(value), "object") for value in node.get("enum") or ())
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
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return
    if "number" not in types_of(node):
        limit = next_integer(limit)
    other = node.get(inclusive)
    node[inclusive] = tighter(limit, other) if isinstance(other, int | float) else limit


def _hints(node: Json) -> None:
    """Describe constraints without a keyword in words."""
    hints = []
    if isinstance(node.get("multipleOf"), int | float):
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


def merge(one: Json, other: Json) -> Json:
    """Merge two branches of `allOf`; in a conflict `one` wins."""
    merged = {**other, **one}
    for key, join in _JOINS.items():
        if key in one and key in other:
            merged[key] = join(one[key], other[key])
    return merged


def _join_properties(one: Any, other: Any) -> Any:
    return {**other, **one} if isinstance(one, dict) and isinstance(other, dict) else one


def _join_required(one: Any, other: Any) -> Any:
    return [*one, *other] if isinstance(one, list) and isinstance(other, list) else one


_JOINS: Mapping[str, Callable[[Any, Any], Any]] = {
    "properties": _join_properties,
    "required": _join_required,
}

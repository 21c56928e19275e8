"""What becomes of single JSON Schema keywords that Gemini does not know: one function a keyword.

Each takes a copy of one node and changes it in place; what is below the node stays as it is.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from backends.jsonio import Json

TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}
"""JSON Schema's name for the type of a value."""

_KNOWN = frozenset(TYPES.values())
_NUMBERS = ("integer", "number")


def types_of(node: Json) -> list[str]:
    """The types a node allows, in order; empty if it does not say."""
    given = node.get("type")
    return [name for name in (given if isinstance(given, list) else [given]) if name in _KNOWN]


def _one_of(node: Json) -> None:
    branches = node.get("oneOf")
    if isinstance(branches, list):
        node["anyOf"] = [*(node.get("anyOf") or ()), *branches]


def _const(node: Json) -> None:
    if "const" in node:
        node["enum"] = [node["const"]]


def _enum(node: Json) -> None:
    """An empty value is refused: "enum[0]: cannot be empty" (issue reports)."""
    if isinstance(node.get("enum"), list):
        node["enum"] = [value for value in node["enum"] if value != ""]
        if not node["enum"]:
            del node["enum"]


def _tuple(node: Json) -> None:
    """Before draft 2020-12 a list of `items` described the positions."""
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
    positions = node.get("prefixItems")
    if isinstance(positions, list) and "items" not in node:
        node.setdefault("minItems", len(positions))
        node.setdefault("maxItems", len(positions))


def _type(node: Json) -> None:
    """Types that JSON has, guessed if there are none."""
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
    """OpenAPI's word for null as a further type."""
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
    """An exclusive limit as an inclusive one: exact for integers, nearly so for numbers.

    In draft 4 the exclusive keyword is a boolean that says what the inclusive one means.
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
    """Constraints that have no keyword are told in words."""
    hints = []
    if isinstance(node.get("multipleOf"), int | float):
        hints.append(f"A multiple of {node['multipleOf']}.")
    if node.get("uniqueItems") is True:
        hints.append("No item occurs twice.")
    describe(node, hints)


def describe(node: Json, hints: list[str]) -> None:
    """Put sentences behind a node's description."""
    given = node.get("description")
    if hints:
        node["description"] = " ".join([given, *hints] if given and _is_text(given) else hints)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


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
"""In this order: a later one relies on what the earlier ones made."""


def merge(one: Json, other: Json) -> Json:
    """Two branches of `allOf` in one node; where both say something, `one` is heard."""
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

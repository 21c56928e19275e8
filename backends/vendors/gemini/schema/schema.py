"""JSON Schemas of tools and answers, made fit for Gemini's two carriers.

`parametersJsonSchema` and `responseJsonSchema` take JSON Schema and put up with most of it;
`parameters` and `responseSchema` take a dialect of their own and refuse a request for any keyword
they do not know (API reference, FunctionDeclaration and Schema). This module cleans for the first;
`proto_schema` turns what is clean into the second.

The walk is by position: below `properties` and `$defs` the keys are names, and an argument may well
be called `title` or `$ref`.
"""

import re
from collections.abc import Mapping
from typing import Any

from backends.jsonio import Json
from backends.vendors.gemini.schema.keywords import REWRITES, merge, types_of

MAX_DEPTH = 64
MAX_NODES = 20_000
"""Refs are inlined, so a small schema can be a huge tree: past this a node allows anything."""

LONG_ENUM = 100
"""An enum of more values than this counts as a constraint that a loose schema does without."""

_NUMBER = (int, float)
# Every keyword that goes out, but for those that hold schemas, and what its value may be.
_KEPT: Mapping[str, type | tuple[type, ...]] = {
    "type": (str, list),
    "description": str,
    "format": str,
    "enum": list,
    "default": object,
    "pattern": str,
    "minLength": int,
    "maxLength": int,
    "minimum": _NUMBER,
    "maximum": _NUMBER,
    "minItems": int,
    "maxItems": int,
    "minProperties": int,
    "maxProperties": int,
    "propertyOrdering": list,
}
_CONSTRAINTS = frozenset(
    {"pattern", "format"} | {key for key in _KEPT if key.startswith(("min", "max"))}
)
_DEFINITION = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")

Path = tuple[str, ...]
"""The refs that led to a node."""


def clean(schema: object, *, is_loose: bool = False, repeats: int = 0) -> Json:
    """A copy of `schema` in plain JSON Schema, with its refs inlined.

    A ref that recurs is kept and its target put into `$defs`; or, if `repeats` is not 0, inlined
    as often as that and then cut off. `is_loose` leaves out what makes a grammar large.
    """
    root = schema if isinstance(schema, dict) else {}
    return _Cleaner(root, is_loose, repeats).document()


class _Cleaner:
    """One document on its way through. `root` is what its refs point into."""

    def __init__(self, root: Json, is_loose: bool, repeats: int) -> None:
        self._root = root
        self._is_loose = is_loose
        self._repeats = repeats
        self._nodes = 0
        self._definitions: dict[str, Json] = {}

    def document(self) -> Json:
        node = self._node(self._root, 0, ("#",))
        return {**node, "$defs": self._definitions} if self._definitions else node

    def _node(self, schema: object, depth: int, path: Path) -> Json:
        """One schema and all below it."""
        self._nodes += 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._nodes > MAX_NODES:
            return {}
        node, path = self._resolve(schema, path)
        if "$ref" in node:
            return node
        node = dict(node)
        for rewrite in REWRITES:
            rewrite(node)
        clean = {key: node[key] for key in _KEPT if self._keeps(node, key)}
        clean |= self._below(node, depth + 1, path)
        if "array" in types_of(clean) and "prefixItems" not in clean:
            clean.setdefault("items", {})
        if required := self._required(node, clean):
            clean["required"] = required
        return clean

    def _keeps(self, node: Json, key: str) -> bool:
        if key not in node or not isinstance(node[key], _KEPT[key]):
            return False
        is_constraint = key in _CONSTRAINTS or (key == "enum" and len(node[key]) > LONG_ENUM)
        return not (self._is_loose and is_constraint)

    def _below(self, node: Json, depth: int, path: Path) -> Json:
        """The keywords of a node that hold schemas. `false` allows nothing: it is left out."""
        below: Json = {}
        properties = node.get("properties")
        if isinstance(properties, dict):
            below["properties"] = {
                name: self._node(value, depth, path)
                for name, value in properties.items()
                if value is not False
            }
        for key in ("anyOf", "prefixItems"):
            given = node.get(key)
            branches = given if isinstance(given, list) else []
            if possible := [each for each in branches if each is not False]:
                below[key] = [self._node(each, depth, path) for each in possible]
        if isinstance(node.get("items"), dict):
            below["items"] = self._node(node["items"], depth, path)
        additional = node.get("additionalProperties")
        if isinstance(additional, bool):
            below["additionalProperties"] = additional
        elif additional is not None:
            below["additionalProperties"] = self._node(additional, depth, path)
        return below

    def _required(self, node: Json, clean: Json) -> list[str]:
        """Names of properties that there are; others are refused (issue reports).

        A property with a recursive ref in it must be optional (API documentation, "Structured
        outputs").
        """
        properties, required = clean.get("properties", {}), node.get("required")
        return [
            name
            for name in properties
            if isinstance(required, list)
            and name in required
            and not (self._definitions and _holds_ref(properties[name]))
        ]

    # Refs

    def _resolve(self, node: Json, path: Path) -> tuple[Json, Path]:
        """The node with what it refers to and all of `allOf` in it; or a ref that recurs, alone."""
        while isinstance(ref := node.get("$ref"), str):
            if path.count(ref) > self._repeats:
                return self._recur(ref), path
            path = (*path, ref)
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            node = {**self._look_up(ref), **siblings}
        branches = node.get("allOf")
        if not isinstance(branches, list):
            return node, path
        merged = {key: value for key, value in node.items() if key != "allOf"}
        for branch in branches:
            resolved, path = self._resolve(branch if isinstance(branch, dict) else {}, path)
            merged = merge(merged, {key: resolved[key] for key in resolved if key != "$ref"})
        return merged, path

    def _recur(self, ref: str) -> Json:
        """What stands where a schema would begin anew: a ref if it can stay, else any object."""
        definition = _DEFINITION.fullmatch(ref)
        if self._repeats or not definition:
            return {"type": "object"}
        name = _unescape(definition[1])
        if name not in self._definitions:
            self._definitions[name] = {}  # for the refs to it that it holds
            self._definitions[name] = self._node(self._look_up(ref), 1, (ref,))
        return {"$ref": f"#/$defs/{definition[1]}"}

    def _look_up(self, ref: str) -> Json:
        """What a JSON pointer into the document finds; anything is allowed if that is nothing."""
        value: Any = self._root if ref.partition("/")[0] == "#" else None
        for step in ref.split("/")[1:]:
            if isinstance(value, list):
                value = {str(index): item for index, item in enumerate(value)}
            value = value.get(_unescape(step)) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}


def _unescape(step: str) -> str:
    """One step of a JSON pointer as it is written in a fragment (RFC 6901)."""
    return step.replace("~1", "/").replace("~0", "~")


def _holds_ref(value: object) -> bool:
    """Whether a ref is anywhere in a clean schema; under a name `$ref` stands no string."""
    if isinstance(value, dict):
        return isinstance(value.get("$ref"), str) or any(map(_holds_ref, value.values()))
    return isinstance(value, list) and any(map(_holds_ref, value))

"""Cleans the JSON Schemas of tools and structured output for Gemini.

Gemini has two formats (API reference, FunctionDeclaration and Schema). `parametersJsonSchema` and
`responseJsonSchema` take JSON Schema and tolerate most of it. `parameters` and `responseSchema`
take a dialect in which any unknown keyword is a 400. This module cleans for the first format.
`proto_schema` converts a clean schema into the second.

The walk goes by position. Below `properties` and `$defs` the keys are names, so an argument may be
called `title` or `$ref`.
"""

import re
from collections.abc import Mapping
from typing import Any

from backends.jsonio import Json, fields
from backends.vendors.gemini.schema.keywords import REWRITES, merge, types_of

MAX_DEPTH = 64
MAX_NODES = 20_000
"""Inlined refs can make a huge tree of a small schema. Nodes beyond this allow anything."""

LONG_ENUM = 100
"""A relaxed schema drops enums with more values than this."""

_NUMBER = (int, float)
# The keywords that are sent, except those that hold schemas, and the types of their values.
_SENT: Mapping[str, type | tuple[type, ...]] = {
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
    {"pattern", "format"} | {key for key in _SENT if key.startswith(("min", "max"))}
)
_DEFINITION = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")

Path = tuple[str, ...]
"""The refs that led to a node."""


def clean(schema: object, *, is_relaxed: bool = False, repeats: int = 0) -> Json:
    """A copy of `schema` in plain JSON Schema, with its refs inlined.

    Recursive refs stay, with their targets in `$defs`. With `repeats` they are inlined that many
    times and then cut off. `is_relaxed` drops the constraints that make a grammar large.
    """
    return _Cleaner(fields(schema), is_relaxed, repeats).document()


class _Cleaner:
    """Cleans one document. Refs are resolved against `root`."""

    def __init__(self, root: Json, is_relaxed: bool, repeats: int) -> None:
        self._root = root
        self._is_relaxed = is_relaxed
        self._repeats = repeats
        self._nodes = 0
        self._definitions: dict[str, Json] = {}

    def document(self) -> Json:
        node = self._node(self._root, 0, ("#",))
        return {**node, "$defs": self._definitions} if self._definitions else node

    def _node(self, schema: object, depth: int, path: Path) -> Json:
        """Clean one schema and its subschemas."""
        self._nodes += 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._nodes > MAX_NODES:
            return {}
        node, path = self._resolve(schema, path)
        if "$ref" in node:
            return node
        node = dict(node)
        for rewrite in REWRITES:
            rewrite(node)
        clean = {key: node[key] for key in _SENT if self._is_sent(node, key)}
        clean |= self._subschemas(node, depth + 1, path)
        if "array" in types_of(clean) and "prefixItems" not in clean:
            clean.setdefault("items", {})
        if required := self._required(node, clean):
            clean["required"] = required
        return clean

    def _is_sent(self, node: Json, key: str) -> bool:
        if key not in node or not isinstance(node[key], _SENT[key]):
            return False
        is_constraint = key in _CONSTRAINTS or (key == "enum" and len(node[key]) > LONG_ENUM)
        return not (self._is_relaxed and is_constraint)

    def _subschemas(self, node: Json, depth: int, path: Path) -> Json:
        """The keywords of a node that hold schemas, without those that are `false`."""
        subschemas: Json = {}
        properties = node.get("properties")
        if isinstance(properties, dict):
            subschemas["properties"] = {
                name: self._node(value, depth, path)
                for name, value in properties.items()
                if value is not False
            }
        for key in ("anyOf", "prefixItems"):
            branches = node.get(key)
            branches = branches if isinstance(branches, list) else []
            if possible := [each for each in branches if each is not False]:
                subschemas[key] = [self._node(each, depth, path) for each in possible]
        if isinstance(node.get("items"), dict):
            subschemas["items"] = self._node(node["items"], depth, path)
        additional = node.get("additionalProperties")
        if isinstance(additional, bool):
            subschemas["additionalProperties"] = additional
        elif additional is not None:
            subschemas["additionalProperties"] = self._node(additional, depth, path)
        return subschemas

    def _required(self, node: Json, clean: Json) -> list[str]:
        """The required names that are properties: Gemini refuses others (issue reports).

        A property that holds a recursive ref must be optional (API documentation, "Structured
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
        """Merge a node with the target of its ref and with `allOf`. A recursive ref stays alone."""
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
            resolved, path = self._resolve(fields(branch), path)
            merged = merge(merged, {key: resolved[key] for key in resolved if key != "$ref"})
        return merged, path

    def _recur(self, ref: str) -> Json:
        """The end of a recursion: a ref if the format allows it, else any object."""
        definition = _DEFINITION.fullmatch(ref)
        if self._repeats or not definition:
            return {"type": "object"}
        name = _unescape(definition[1])
        if name not in self._definitions:
            self._definitions[name] = {}  # for refs to it from inside
            self._definitions[name] = self._node(self._look_up(ref), 1, (ref,))
        return {"$ref": f"#/$defs/{definition[1]}"}

    def _look_up(self, ref: str) -> Json:
        """The schema at a JSON pointer into the document; `{}` if there is none."""
        value: Any = self._root if ref.partition("/")[0] == "#" else None
        for step in ref.split("/")[1:]:
            if isinstance(value, list):
                value = {str(index): item for index, item in enumerate(value)}
            value = fields(value).get(_unescape(step))
        return fields(value)


def _unescape(step: str) -> str:
    """Decode one step of a JSON pointer (RFC 6901)."""
    return step.replace("~1", "/").replace("~0", "~")


def _holds_ref(value: object) -> bool:
    """Whether a clean schema holds a ref. A property called `$ref` does not have a string value."""
    if isinstance(value, dict):
        return isinstance(value.get("$ref"), str) or any(map(_holds_ref, value.values()))
    return isinstance(value, list) and any(map(_holds_ref, value))

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
from dataclasses import dataclass
from typing import Any, NamedTuple

from backends import jsonio
from backends.jsonio import Json, fields
from backends.vendors.gemini.schema.keywords import REWRITES, merge, types_of

MAX_DEPTH = 64
"""Of nested schemas, and of refs that lead to refs."""
MAX_NODES = 20_000
"""Of all schemas in one request. Inlined refs can make a huge tree of a small schema."""
MAX_INLINED = 2_000
"""Those of them that are converted in the place of a ref. Copies of a converted one are free."""
NODE_BYTES = 500
"""A larger node counts as several: refs can repeat a long description or enum, too."""

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
_INDEX = re.compile(r"[0-9]{1,9}")

Path = tuple[str, ...]
"""The refs that led to a node."""


@dataclass(slots=True)
class Budget:
    """The nodes that the schemas of one request may have. Nodes beyond them allow anything."""

    left: int = MAX_NODES
    inlined_left: int = MAX_INLINED
    is_exceeded: bool = False

    def take(self, nodes: int = 1, *, inlined: int = 0) -> bool:
        """Whether so many nodes were left."""
        if nodes > self.left or inlined > self.inlined_left:
            self.is_exceeded = True
            return False
        self.left -= nodes
        self.inlined_left -= inlined
        return True


def clean(schema: object, budget: Budget, *, is_relaxed: bool = False, repeats: int = 0) -> Json:
    """A copy of `schema` in plain JSON Schema, with its refs inlined. It may share nodes.

    Recursive refs stay, with their targets in `$defs`. With `repeats` they are inlined that many
    times and then cut off. `is_relaxed` drops the constraints that make a grammar large.
    """
    return _Cleaner(fields(schema), budget, is_relaxed, repeats).document()


class _Inlined(NamedTuple):
    """A clean node in the place of a ref, to use again."""

    node: Json
    size: int
    """What it takes from the budget."""
    height: int
    refs: int
    """How many recursive refs it holds."""


class _Cleaner:
    """Cleans one document. Refs are resolved against `root`."""

    def __init__(self, root: Json, budget: Budget, is_relaxed: bool, repeats: int) -> None:
        self._root = root
        self._budget = budget
        self._is_relaxed = is_relaxed
        self._repeats = repeats
        self._recursive: dict[str, str] = {}
        """The refs that recur, by the name of their definition."""
        self._targets: dict[str, Json] = {}
        self._inlined: dict[tuple[tuple[str, Any], ...], _Inlined] = {}
        self._deepest = 0
        self._refs = 0
        """How many recursive refs were written so far."""

    def document(self) -> Json:
        node = self._node(self._root, 0, ("#",))
        definitions: Json = {}
        while missing := [name for name in self._recursive if name not in definitions]:
            for name in missing:
                ref = self._recursive[name]
                definitions[name] = self._node(self._look_up(ref), 1, (ref,))
        return {**node, "$defs": definitions} if definitions else node

    def _node(self, schema: object, depth: int, path: Path) -> Json:
        """Clean one schema and its subschemas."""
        if not isinstance(schema, dict) or depth > MAX_DEPTH:
            return {}
        if not self._is_reusable(schema, path):
            return self._clean(schema, depth, path)
        key = tuple(schema.items())
        if key in self._inlined:
            return self._again(self._inlined[key], depth)
        left, refs, deepest = self._budget.left, self._refs, self._deepest
        self._deepest = depth
        node = self._clean(schema, depth, path)
        size, height = left - self._budget.left, self._deepest - depth
        self._inlined[key] = _Inlined(node, size, height, self._refs - refs)
        self._deepest = max(deepest, self._deepest)
        return node

    def _is_reusable(self, schema: Json, path: Path) -> bool:
        """Whether a node is a ref whose target looks the same everywhere outside of itself.

        With `repeats` the result depends on the path.
        """
        is_ref = "$ref" in schema and not any(
            isinstance(each, dict | list) for each in schema.values()
        )
        return is_ref and not self._repeats and schema["$ref"] not in path

    def _again(self, inlined: _Inlined, depth: int) -> Json:
        if depth + inlined.height > MAX_DEPTH or not self._budget.take(inlined.size):
            return {}
        self._deepest = max(self._deepest, depth + inlined.height)
        self._refs += inlined.refs
        return inlined.node

    def _clean(self, schema: Json, depth: int, path: Path) -> Json:
        if not self._budget.take(inlined=int(len(path) > 1)):
            return {}
        self._deepest = max(self._deepest, depth)
        node, path = self._resolve(schema, depth, path)
        if isinstance(node.get("$ref"), str):
            return node
        node = dict(node)
        for rewrite in REWRITES:
            rewrite(node)
        clean = {key: node[key] for key in _SENT if self._is_sent(node, key)}
        names = fields(node.get("properties"))
        size = len(jsonio.encode([clean, list(node), list(names)]))
        if not self._budget.take(size // NODE_BYTES):
            return {}
        optional: set[str] = set()
        if isinstance(node.get("properties"), dict):
            clean["properties"], optional = self._properties(names, depth + 1, path)
        clean |= self._subschemas(node, depth + 1, path)
        if "array" in types_of(clean) and "prefixItems" not in clean:
            clean.setdefault("items", {})
        if required := _required(node, clean, optional):
            clean["required"] = required
        return clean

    def _is_sent(self, node: Json, key: str) -> bool:
        if key not in node or not isinstance(node[key], _SENT[key]):
            return False
        is_constraint = key in _CONSTRAINTS or (key == "enum" and len(node[key]) > LONG_ENUM)
        return not (self._is_relaxed and is_constraint)

    def _properties(self, properties: Json, depth: int, path: Path) -> tuple[Json, set[str]]:
        """The properties that are not `false`, and the names of those with a recursive ref."""
        clean, recursive = {}, set()
        for name, value in properties.items():
            if value is not False:
                refs = self._refs
                clean[name] = self._node(value, depth, path)
                if self._refs > refs:
                    recursive.add(name)
        return clean, recursive

    def _subschemas(self, node: Json, depth: int, path: Path) -> Json:
        """The other keywords of a node that hold schemas, without those that are `false`."""
        subschemas: Json = {}
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

    # Refs

    def _resolve(self, node: Json, depth: int, path: Path) -> tuple[Json, Path]:
        """Merge a node with the target of its ref and with `allOf`. A recursive ref stays alone."""
        while isinstance(ref := node.get("$ref"), str):
            if path.count(ref) > self._repeats:
                return self._recur(ref), path
            if len(path) > MAX_DEPTH:
                return {}, path
            path = (*path, ref)
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            node = {**self._look_up(ref), **siblings}
        branches = node.get("allOf")
        if not isinstance(branches, list):
            return node, path
        merged = [{key: value for key, value in node.items() if key != "allOf"}]
        for branch in branches:
            if depth > MAX_DEPTH or not self._budget.take():
                break
            resolved, path = self._resolve(fields(branch), depth + 1, path)
            merged.append({key: resolved[key] for key in resolved if key != "$ref"})
        return merge(merged), path

    def _recur(self, ref: str) -> Json:
        """The end of a recursion: a ref if the format allows it, else any object."""
        definition = _DEFINITION.fullmatch(ref)
        if self._repeats or not definition:
            return {"type": "object"}
        self._refs += 1
        self._recursive.setdefault(_unescape(definition[1]), ref)
        return {"$ref": f"#/$defs/{definition[1]}"}

    def _look_up(self, ref: str) -> Json:
        """The schema at a JSON pointer into the document; `{}` if there is none."""
        if ref not in self._targets:
            self._targets[ref] = fields(_at(self._root, ref))
        return self._targets[ref]


def _at(root: Json, ref: str) -> Any:
    """The value at a JSON pointer; None if there is none."""
    head, *steps = ref.split("/")
    value: Any = root if head == "#" else None
    for step in map(_unescape, steps):
        if isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            value = fields(value).get(step)
    return value


def _required(node: Json, clean: Json, optional: set[str]) -> list[str]:
    """The required names that are properties: Gemini refuses others (issue reports).

    A property that holds a recursive ref must be optional (API documentation, "Structured
    outputs").
    """
    listed = node.get("required")
    names = {each for each in listed if isinstance(each, str)} if isinstance(listed, list) else ()
    return [name for name in clean.get("properties", ()) if name in names and name not in optional]


def _unescape(step: str) -> str:
    """Decode one step of a JSON pointer (RFC 6901)."""
    return step.replace("~1", "/").replace("~0", "~")

"""Converts clean JSON Schema to Gemini's dialect, for `parameters` and `responseSchema`.

The dialect is a subset of OpenAPI 3.0 (API reference, Schema): one type for each node, null as
`nullable`, enums of strings only, no refs. Other constraints go into the description.
"""

import json
from collections.abc import Mapping

from backends.jsonio import Json, encode
from backends.vendors.gemini.schema.keywords import describe, types_of

MAX_REPEATS = 2
"""How many times `clean` must inline a recursive ref. The rest becomes objects of any kind."""

_ANY = "string"
"""The type for values of any type: text can express them all."""

# The keywords of each type besides the description. Defaults are dropped, as they have no effect.
_FACETS: Mapping[str, tuple[str, ...]] = {
    "string": ("format", "pattern", "minLength", "maxLength"),
    "integer": ("format", "minimum", "maximum"),
    "number": ("format", "minimum", "maximum"),
    "boolean": (),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
# Gemini refuses other formats (issue reports).
_FORMATS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"enum", "date-time"}),
    "integer": frozenset({"int32", "int64"}),
    "number": frozenset({"float", "double"}),
}


def to_proto(node: Json) -> Json:
    """Convert a clean schema without refs."""
    types = types_of(node)
    options = node.get("anyOf", [])
    branches = [to_proto(option) for option in options if option.get("type") != "null"]
    is_nullable = "null" in types or len(branches) < len(options)
    if not branches or "properties" in node:
        # Next to properties, anyOf usually says which of them go together.
        named = [each for each in types if each != "null"] or [_ANY]
        branches = [_plain(node, each) for each in named]
    proto: Json = dict(branches[0]) if len(branches) == 1 else {"anyOf": branches}
    if description := node.get("description"):
        proto["description"] = description
    if "enum" in node and "enum" not in proto:
        values = ", ".join(json.dumps(value) for value in node["enum"])
        describe(proto, [f"Allowed values: {values}."])
    if is_nullable:
        proto["nullable"] = True
    return proto


def _plain(node: Json, type: str) -> Json:
    """The part of a node that concerns one type."""
    proto: Json = {"type": type.upper()}
    proto.update({facet: node[facet] for facet in _FACETS[type] if facet in node})
    if proto.get("format") not in _FORMATS.get(type, ()):
        proto.pop("format", None)
    values = [value for value in node.get("enum", ()) if value is not None]
    if type == "string" and values and all(isinstance(value, str) for value in values):
        proto["enum"] = values
    if type == "array":
        proto["items"] = _items(node)
    if type == "object" and node.get("properties"):
        properties = node["properties"]
        proto["properties"] = {name: to_proto(value) for name, value in properties.items()}
        proto |= {key: node[key] for key in ("required", "propertyOrdering") if key in node}
    return proto


def _items(node: Json) -> Json:
    """The schema of an array's items. The positions of a tuple are merged."""
    positions = map(to_proto, node.get("prefixItems") or [node.get("items", {})])
    distinct = list({encode(position): position for position in positions}.values())
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}

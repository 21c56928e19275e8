"""Chooses the field and the format in which a schema goes to Gemini.

JSON Schema is more expressive and so the default. Gemini's own dialect is for models that refuse
it.
"""

from typing import NamedTuple

from backends.jsonio import Json
from backends.vendors.gemini.schema import proto_schema, schema
from backends.vendors.gemini.schema.keywords import types_of
from backends.vendors.gemini.schema.schema import Budget

WRAPPED = "value"
"""The name that arguments get if they are not an object: Gemini's functions need named ones."""


class SchemaFormat(NamedTuple):
    """The format in which schemas are sent."""

    is_json_schema: bool = True
    """False for Gemini's own dialect."""
    is_relaxed: bool = False
    """Whether to leave out constraints, which can make a schema too large for Gemini."""

    def parameters(self, value: object, budget: Budget) -> tuple[Json, bool]:
        """The field of a function declaration, and whether the arguments are wrapped.

        Without parameters there is no field: Gemini refuses an object without properties.
        """
        node = self._clean(value, budget)
        is_object = "object" in types_of(node) and ("properties" in node or "anyOf" not in node)
        if not node.keys() - {"description"} or (is_object and not node.get("properties")):
            return {}, False
        name = "parametersJsonSchema" if self.is_json_schema else "parameters"
        root = {**node, "type": "object"} if is_object else _wrap(node)
        return {name: self._write(root)}, not is_object

    def response(self, value: object, budget: Budget) -> Json:
        """The field of the generation config for structured output."""
        name = "responseJsonSchema" if self.is_json_schema else "responseSchema"
        return {name: self._write(self._clean(value, budget))}

    def _clean(self, value: object, budget: Budget) -> Json:
        repeats = 0 if self.is_json_schema else proto_schema.MAX_REPEATS
        return schema.clean(value, budget, is_relaxed=self.is_relaxed, repeats=repeats)

    def _write(self, node: Json) -> Json:
        return node if self.is_json_schema else proto_schema.to_proto(node)


JSON_SCHEMA = SchemaFormat()


def _wrap(node: Json) -> Json:
    """An object with `node` as its only property. `$defs` stay at the root, where refs point."""
    inner = {key: value for key, value in node.items() if key != "$defs"}
    root: Json = {"type": "object", "properties": {WRAPPED: inner}}
    if "$defs" in node:  # recursive properties must be optional
        return {**root, "$defs": node["$defs"]}
    return {**root, "required": [WRAPPED]}

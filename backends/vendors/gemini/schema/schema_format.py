"""Which of Gemini's two fields carries a schema, and how much of it.

JSON Schema says more, so it goes first; the other carrier is for models that refuse it.
"""

from typing import NamedTuple

from backends.jsonio import Json
from backends.vendors.gemini.schema import proto_schema, schema
from backends.vendors.gemini.schema.keywords import types_of

WRAPPED = "value"
"""Arguments that are no object stand under this name: Gemini's functions take named ones only."""


class Carrier(NamedTuple):
    """`is_json`: JSON Schema, not Gemini's dialect. `is_loose`: without what makes it too large."""

    is_json: bool = True
    is_loose: bool = False

    def parameters(self, given: object) -> tuple[Json, bool]:
        """The field of a function declaration, and whether the arguments had to be wrapped.

        No field for a function without parameters: an object must have properties there.
        """
        node = self._clean(given)
        is_object = "object" in types_of(node) and ("properties" in node or "anyOf" not in node)
        if not node.keys() - {"description"} or (is_object and not node.get("properties")):
            return {}, False
        name = "parametersJsonSchema" if self.is_json else "parameters"
        root = {**node, "type": "object"} if is_object else _wrap(node)
        return {name: self._write(root)}, not is_object

    def response(self, given: object) -> Json:
        """The field of the generation config that an answer in JSON has to follow."""
        name = "responseJsonSchema" if self.is_json else "responseSchema"
        return {name: self._write(self._clean(given))}

    def _clean(self, given: object) -> Json:
        repeats = 0 if self.is_json else proto_schema.MAX_REPEATS
        return schema.clean(given, is_loose=self.is_loose, repeats=repeats)

    def _write(self, node: Json) -> Json:
        return node if self.is_json else proto_schema.to_proto(node)


JSON_SCHEMA = Carrier()


def _wrap(node: Json) -> Json:
    """An object with `node` as its only property; definitions stay where refs look for them."""
    inner = {key: value for key, value in node.items() if key != "$defs"}
    root: Json = {"type": "object", "properties": {WRAPPED: inner}}
    if "$defs" in node:  # what recurs must be optional
        return {**root, "$defs": node["$defs"]}
    return {**root, "required": [WRAPPED]}

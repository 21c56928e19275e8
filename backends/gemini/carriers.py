"""Which of Gemini's two fields carries a schema, and how much of it.

JSON Schema says more, so it goes first; the other carrier is for models that refuse it.
"""

from typing import NamedTuple

from backends.gemini import proto_schema, schema
from backends.gemini.keywords import types_of
from backends.gemini.wire import Json

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
        node = schema.clean(given)
        is_object = "object" in types_of(node) and ("properties" in node or "anyOf" not in node)
        if not node.keys() - {"description"} or (is_object and not node.get("properties")):
            return {}, False
        if is_object:
            only_object = {**_object(given), "type": "object", "nullable": False}
            return self._field("parameters", only_object), False
        return self._field("parameters", _wrap(_object(given))), True

    def response(self, given: object) -> Json:
        """The field of the generation config that an answer in JSON has to follow."""
        name = "responseJsonSchema" if self.is_json else "responseSchema"
        return {name: self._convert(given)}

    def _field(self, name: str, given: Json) -> Json:
        return {f"{name}JsonSchema" if self.is_json else name: self._convert(given)}

    def _convert(self, given: object) -> Json:
        convert = schema.clean if self.is_json else proto_schema.to_proto
        return convert(given, is_loose=self.is_loose)


JSON_SCHEMA = Carrier()


def _object(given: object) -> Json:
    return given if isinstance(given, dict) else {}


def _wrap(given: Json) -> Json:
    """An object with `given` as its only property; definitions stay where refs look for them."""
    definitions: Json = {key: given[key] for key in ("$defs", "definitions") if key in given}
    properties = {WRAPPED: given}
    return {**definitions, "type": "object", "properties": properties, "required": [WRAPPED]}

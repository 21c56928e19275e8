"""Schemas in both formats: single keywords, the tools of agents, and random input."""

import json
from copy import deepcopy
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, strategies as st

from backends.vendors.gemini.schema import schema
from backends.vendors.gemini.schema.proto_schema import MAX_REPEATS, to_proto
from backends.vendors.gemini.schema.schema import Budget
from backends.vendors.gemini.schema.schema_format import SchemaFormat
from tests.backends.vendors.gemini.asking import WIRE, ask, body_of
from tests.backends.vendors.gemini.validation import Json, validate_json_schema, validate_tool

STRING: Json = {"type": "string"}
PROTO_STRING: Json = {"type": "STRING"}
NULL: Json = {"type": "null"}
INTEGER: Json = {"type": "integer"}
ANY_VALUES = {"type": "integer", "enum": [1, 2]}
KEYWORD_NAMES = ("title", "format", "const", "$ref", "default", "type", "enum")
NOWHERE = ("#/$defs/X", "#x", "http://x/y", "#/a/0")


def all_as(names: tuple[str, ...], value: Json) -> Json:
    return {name: value for name in names}


# name: (schema, in JSON Schema, in Gemini's dialect)
KEYWORDS: dict[str, tuple[Any, Json, Json]] = {
    "plain": (STRING, STRING, PROTO_STRING),
    "annotations": (
        {**STRING, "$schema": "x", "$id": "y", "$comment": "z", "title": "T", "examples": ["a"],
         "discriminator": {}, "strict": True, "readOnly": True, "deprecated": True, "x-y": 1},
        STRING,
        PROTO_STRING,
    ),
    "description": ({**STRING, "description": "d"}, {**STRING, "description": "d"},
                    {**PROTO_STRING, "description": "d"}),
    "description that is none": ({**STRING, "description": 1}, STRING, PROTO_STRING),
    "default": ({**STRING, "default": None}, {**STRING, "default": None}, PROTO_STRING),
    "const": ({"const": "a"}, {"type": "string", "enum": ["a"]}, {**PROTO_STRING, "enum": ["a"]}),
    "const number": ({"const": 1}, {"type": "integer", "enum": [1]},
                     {"type": "INTEGER", "description": "Allowed values: 1."}),
    "type or null": ({"type": ["string", "null"]}, {"type": ["string", "null"]},
                     {**PROTO_STRING, "nullable": True}),
    "types": ({"type": ["string", "integer"], "minimum": 1, "minLength": 2},
              {"type": ["string", "integer"], "minLength": 2, "minimum": 1},
              {"anyOf": [{**PROTO_STRING, "minLength": 2}, {"type": "INTEGER", "minimum": 1}]}),
    "null": (NULL, NULL, {**PROTO_STRING, "nullable": True}),
    "nullable": ({**STRING, "nullable": True}, {"type": ["string", "null"]},
                 {**PROTO_STRING, "nullable": True}),
    "nullable enum": ({"enum": ["a"], "nullable": True},
                      {"type": ["string", "null"], "enum": ["a", None]},
                      {**PROTO_STRING, "enum": ["a"], "nullable": True}),
    "nullable anyOf": ({"anyOf": [STRING], "nullable": True}, {"anyOf": [STRING, NULL]},
                       {**PROTO_STRING, "nullable": True}),
    "anyOf null": ({"anyOf": [STRING, NULL], "description": "d"},
                   {"description": "d", "anyOf": [STRING, NULL]},
                   {**PROTO_STRING, "nullable": True, "description": "d"}),
    "anyOf": ({"anyOf": [STRING, {"type": "integer"}]},
              {"anyOf": [STRING, {"type": "integer"}]},
              {"anyOf": [PROTO_STRING, {"type": "INTEGER"}]}),
    "oneOf": ({"oneOf": [STRING, {"type": "integer"}]},
              {"anyOf": [STRING, {"type": "integer"}]},
              {"anyOf": [PROTO_STRING, {"type": "INTEGER"}]}),
    "anyOf beside properties": (
        {"type": "object", "properties": {"a": STRING}, "anyOf": [{"required": ["a"]}]},
        {"type": "object", "properties": {"a": STRING}, "anyOf": [{}]},
        {"type": "OBJECT", "properties": {"a": PROTO_STRING}},
    ),
    "allOf": (
        {"allOf": [{"type": "object", "properties": {"a": STRING}, "required": ["a"]},
                   {"properties": {"b": STRING}, "required": ["b"]}]},
        {"type": "object", "properties": {"b": STRING, "a": STRING}, "required": ["b", "a"]},
        {"type": "OBJECT", "properties": {"b": PROTO_STRING, "a": PROTO_STRING},
         "required": ["b", "a"]},
    ),
    "conditions": ({**STRING, "not": {}, "if": {}, "then": {}, "else": {}, "contains": {}},
                   STRING, PROTO_STRING),
    "patternProperties": ({"type": "object", "patternProperties": {"x": {}}, "propertyNames": {}},
                          {"type": "object"}, {"type": "OBJECT"}),
    "exclusive, integer": ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
                           {"type": "integer", "minimum": 1, "maximum": 8},
                           {"type": "INTEGER", "minimum": 1, "maximum": 8}),
    "exclusive, number": ({"type": "number", "exclusiveMinimum": 0, "minimum": -1},
                          {"type": "number", "minimum": 0}, {"type": "NUMBER", "minimum": 0}),
    "exclusive, draft 4": ({"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                           {"type": "integer", "minimum": 1}, {"type": "INTEGER", "minimum": 1}),
    "not exclusive, draft 4": ({"type": "integer", "minimum": 0, "exclusiveMinimum": False},
                               {"type": "integer", "minimum": 0},
                               {"type": "INTEGER", "minimum": 0}),
    "hints": (
        {"type": "integer", "multipleOf": 5, "description": "d."},
        {"type": "integer", "description": "d. A multiple of 5."},
        {"type": "INTEGER", "description": "d. A multiple of 5."},
    ),
    "uniqueItems": (
        {"type": "array", "items": STRING, "uniqueItems": True},
        {"type": "array", "description": "No item occurs twice.", "items": STRING},
        {"type": "ARRAY", "items": PROTO_STRING, "description": "No item occurs twice."},
    ),
    "additionalProperties": (
        {"type": "object", "additionalProperties": False},
        {"type": "object", "additionalProperties": False},
        {"type": "OBJECT"},
    ),
    "map": (
        {"type": "object", "additionalProperties": {"title": "T", **STRING}},
        {"type": "object", "additionalProperties": STRING},
        {"type": "OBJECT"},
    ),
    "enum of numbers": (ANY_VALUES, ANY_VALUES,
                        {"type": "INTEGER", "description": "Allowed values: 1, 2."}),
    "enum without type": ({"enum": ["a", 1]}, {"type": ["string", "integer"], "enum": ["a", 1]},
                          {"anyOf": [PROTO_STRING, {"type": "INTEGER"}],
                           "description": 'Allowed values: "a", 1.'}),
    "enum with nothing": ({**STRING, "enum": ["a", ""]}, {**STRING, "enum": ["a"]},
                          {**PROTO_STRING, "enum": ["a"]}),
    "enum of nothing": ({**STRING, "enum": [""]}, STRING, PROTO_STRING),
    "format": ({**STRING, "format": "uri"}, {**STRING, "format": "uri"}, PROTO_STRING),
    "good format": ({**STRING, "format": "date-time"}, {**STRING, "format": "date-time"},
                    {**PROTO_STRING, "format": "date-time"}),
    "format of a number": ({"type": "integer", "format": "int32"},
                           {"type": "integer", "format": "int32"},
                           {"type": "INTEGER", "format": "int32"}),
    "prefixItems": (
        {"type": "array", "prefixItems": [STRING, INTEGER]},
        {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [STRING, INTEGER]},
        {"type": "ARRAY", "minItems": 2, "maxItems": 2,
         "items": {"anyOf": [PROTO_STRING, {"type": "INTEGER"}]}},
    ),
    "items of positions": (
        {"items": [STRING, STRING]},
        {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [STRING, STRING]},
        {"type": "ARRAY", "minItems": 2, "maxItems": 2, "items": PROTO_STRING},
    ),
    "array without items": ({"type": "array"}, {"type": "array", "items": {}},
                            {"type": "ARRAY", "items": PROTO_STRING}),
    "object without type": ({"properties": {"a": STRING}},
                            {"type": "object", "properties": {"a": STRING}},
                            {"type": "OBJECT", "properties": {"a": PROTO_STRING}}),
    "unknown required": (
        {"properties": {"a": STRING}, "required": ["a", "b", 3]},
        {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
        {"type": "OBJECT", "properties": {"a": PROTO_STRING}, "required": ["a"]},
    ),
    "required that is a boolean": ({**STRING, "required": True}, STRING, PROTO_STRING),
    "boolean schemas": (
        {"properties": {"a": True, "b": False}, "required": ["b"]},
        {"type": "object", "properties": {"a": {}}},
        {"type": "OBJECT", "properties": {"a": PROTO_STRING}},
    ),
    "unknown type": ({"type": "file"}, {}, PROTO_STRING),
    "no schema": ("x", {}, PROTO_STRING),
    "names that are keywords": (
        {"type": "object", "required": ["title", "$ref"],
         "properties": all_as(KEYWORD_NAMES, STRING)},
        {"type": "object", "required": ["title", "$ref"],
         "properties": all_as(KEYWORD_NAMES, STRING)},
        {"type": "OBJECT", "required": ["title", "$ref"],
         "properties": all_as(KEYWORD_NAMES, PROTO_STRING)},
    ),
    "ref": (
        {"$defs": {"A": STRING}, "properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}},
        {"type": "object", "properties": {"a": {**STRING, "description": "d"}}},
        {"type": "OBJECT", "properties": {"a": {**PROTO_STRING, "description": "d"}}},
    ),
    "definitions": (
        {"definitions": {"a/b": STRING}, "properties": {"a": {"$ref": "#/definitions/a~1b"}}},
        {"type": "object", "properties": {"a": STRING}},
        {"type": "OBJECT", "properties": {"a": PROTO_STRING}},
    ),
    "ref into the document": (
        {"properties": {"a": {"anyOf": [STRING]}, "b": {"$ref": "#/properties/a/anyOf/0"}}},
        {"type": "object", "properties": {"a": {"anyOf": [STRING]}, "b": STRING}},
        {"type": "OBJECT", "properties": {"a": PROTO_STRING, "b": PROTO_STRING}},
    ),
    "ref at the root": ({"$ref": "#/$defs/A", "$defs": {"A": STRING}}, STRING, PROTO_STRING),
    "ref to nowhere": (
        {"properties": {name: {"$ref": name} for name in NOWHERE}},
        {"type": "object", "properties": all_as(NOWHERE, {})},
        {"type": "OBJECT", "properties": all_as(NOWHERE, PROTO_STRING)},
    ),
    "ref to itself": ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
                      {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
                      {"type": "OBJECT"}),
}  # fmt: skip


def unrolled(given: Any) -> Json:
    return to_proto(schema.clean(given, Budget(), repeats=MAX_REPEATS))


@pytest.mark.parametrize(("given", "plain", "proto"), KEYWORDS.values(), ids=KEYWORDS)
def test_keywords(given: Any, plain: Json, proto: Json) -> None:
    before = deepcopy(given)
    assert schema.clean(given, Budget()) == plain
    assert unrolled(given) == proto
    assert given == before
    validate_json_schema(plain)
    types.Schema.model_validate(proto)


TREE: Json = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": STRING,
                "left": {"$ref": "#/$defs/Node"},
                "all": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
            "required": ["name", "all"],
        }
    },
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Node"}},
    "required": ["root"],
}


def test_recursion_in_json_schema_is_optional() -> None:
    cleaned = schema.clean(TREE, Budget())
    node = {
        "type": "object",
        "properties": {
            "name": STRING,
            "left": {"$ref": "#/$defs/Node"},
            "all": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        },
        "required": ["name"],
    }
    assert cleaned["$defs"] == {"Node": node}
    assert cleaned["properties"] == {"root": node}
    validate_json_schema(cleaned)


def test_recursion_ends_in_the_proto_dialect() -> None:
    node = unrolled(TREE)["properties"]["root"]
    for _ in range(3):
        assert node["required"] == ["name", "all"]
        node = node["properties"]["left"]
    assert node == {"type": "OBJECT"}


def test_a_relaxed_schema_has_no_constraints() -> None:
    given = {
        "type": "object",
        "properties": {
            "a": {**STRING, "pattern": "x", "minLength": 1, "format": "date-time"},
            "b": {"type": "array", "prefixItems": [STRING], "maxItems": 3},
            "c": {"enum": [str(number) for number in range(101)]},
            "d": {"enum": ["x"]},
            "e": {"type": "integer", "exclusiveMinimum": 0},
        },
    }
    properties = schema.clean(given, Budget(), is_relaxed=True)["properties"]
    assert properties == {
        "a": STRING,
        "b": {"type": "array", "prefixItems": [STRING]},
        "c": STRING,
        "d": {**STRING, "enum": ["x"]},
        "e": {"type": "integer"},
    }


def test_depth_and_size_are_bounded() -> None:
    deep: Json = {}
    for _ in range(500):
        deep = {"type": "object", "properties": {"x": deep}}
    levels = 0
    node = schema.clean(deep, Budget())
    while node.get("properties"):
        node, levels = node["properties"]["x"], levels + 1
    assert levels == schema.MAX_DEPTH + 1
    doubling = {
        f"L{n}": {"properties": {k: {"$ref": f"#/$defs/L{n + 1}"} for k in "ab"}} for n in range(40)
    }
    cleaned = schema.clean({"$ref": "#/$defs/L0", "$defs": doubling}, Budget())
    assert len(json.dumps(cleaned)) < 100 * schema.MAX_NODES


TOOL_LISTS = sorted((WIRE / "tools").glob("*.json"))


@pytest.mark.parametrize("path", TOOL_LISTS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "schema_format",
    [SchemaFormat(j, loose) for j in (True, False) for loose in (True, False)],
    ids=str,
)
def test_the_tools_of_agents(path: Any, schema_format: SchemaFormat) -> None:
    for tool in json.loads(path.read_text("utf-8"))["tools"]:
        parameters = tool["function"]["parameters"]
        fields, _ = schema_format.parameters(parameters, Budget())
        validate_tool({"functionDeclarations": [{"name": "f", **fields}]})
        for cleaned in fields.values():
            assert cleaned["type"] in ("object", "OBJECT")
            assert names_in(cleaned) >= names_in(parameters) - {"nothing", "value"}


def names_in(value: Any) -> set[str]:
    """The names of all properties, anywhere."""
    if isinstance(value, list):
        return {name for each in value for name in names_in(each)}
    if not isinstance(value, dict):
        return set()
    properties = value.get("properties")
    below = [each for key, each in value.items() if key not in ("if", "default", "enum")]
    own = set(properties) if isinstance(properties, dict) else set()
    return own | names_in(below)


@pytest.mark.parametrize("path", TOOL_LISTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-4-pro"])
def test_requests_with_the_tools_of_agents(path: Any, model: str) -> None:
    content = json.loads(path.read_text("utf-8"))
    assert content["source"]
    [tool] = body_of(ask(model=model, tools=content["tools"]))["tools"]
    assert len(tool["functionDeclarations"]) == len(content["tools"])


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3)
NAMES = st.sampled_from(["a", "title", "$ref", "type", "items", "properties"])
TYPES = st.sampled_from(["string", "integer", "array", "object", "null", "any"])


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=3)
    mapping = st.dictionaries(NAMES, inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, max_size=3),
            "properties": mapping,
            "required": st.lists(NAMES, max_size=3) | st.booleans(),
            "items": inner | lists,
            "prefixItems": lists,
            "anyOf": lists,
            "oneOf": lists,
            "allOf": lists,
            "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/title", "#/properties/a", "x"]),
            "$defs": mapping,
            "enum": st.lists(SCALARS, max_size=3),
            "const": SCALARS,
            "exclusiveMinimum": st.integers(-3, 3) | st.booleans(),
            "minimum": st.integers(-3, 3),
            "minItems": st.integers(0, 3),
            "nullable": st.booleans(),
            "default": SCALARS,
            "description": st.text(max_size=3),
            "format": st.sampled_from(["date", "int32"]),
            "additionalProperties": inner,
            "not": inner,
        },
    )


@given(st.recursive(st.booleans() | st.just({}), schemas, max_leaves=12))
def test_any_schema(given: Any) -> None:
    for schema_format in (
        SchemaFormat(),
        SchemaFormat(is_json_schema=False),
        SchemaFormat(True, True),
        SchemaFormat(False, True),
    ):
        fields, _ = schema_format.parameters(given, Budget())
        validate_tool({"functionDeclarations": [{"name": "f", **fields}]})
        for cleaned in fields.values():
            assert cleaned["type"] in ("object", "OBJECT")

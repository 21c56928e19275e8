"""Schemas that grow when their refs are inlined: a request stays small, and so does the work."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given, strategies as st

from backends.backend import ModelRequest
from backends.vendors.gemini.request.request import RequestVariant
from backends.vendors.gemini.schema import schema
from backends.vendors.gemini.schema.schema import MAX_INLINED, MAX_NODES, Budget
from backends.vendors.gemini.schema.schema_format import SchemaFormat
from tests.backends.vendors.gemini.asking import KEY, USER, function, make_gemini
from tests.backends.vendors.gemini.validation import Json

MODEL = "gemini-3-pro"
DIALECTS = [SchemaFormat(), SchemaFormat(is_json_schema=False)]
CUT_OFF = "tools=schemas with more than 20000 nodes are cut off"


def doubling(levels: int, **siblings: Any) -> Json:
    """A definition that holds the next one twice, and so on."""
    definitions = {
        f"L{n}": {"properties": {name: {"$ref": f"#/$defs/L{n + 1}", **siblings} for name in "ab"}}
        for n in range(levels)
    }
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/L0"}}, "$defs": definitions}


def cyclic(levels: int) -> Json:
    tool = doubling(levels)
    tool["$defs"][f"L{levels}"] = {"$ref": "#/$defs/L0"}
    return tool


def translated(tools: list[Json], schema_format: SchemaFormat) -> tuple[Json, tuple[str, ...]]:
    gemini = make_gemini()
    gemini.variants[MODEL] = RequestVariant(schema_format=schema_format)
    chat = {"model": MODEL, "messages": [USER], "tools": tools}
    call = gemini.prepare(ModelRequest(chat, None, MODEL, [], "s"), KEY)
    return json.loads(call.request.body), call.warnings


def nodes_in(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(nodes_in, value))
    return 1 + sum(map(nodes_in, value.values())) if isinstance(value, dict) else 0


def made_in(value: Any, made: set[int]) -> set[int]:
    """The objects in a value, each of which was made once."""
    if isinstance(value, dict | list) and id(value) not in made:
        made.add(id(value))
        for each in value.values() if isinstance(value, dict) else value:
            made_in(each, made)
    return made


@pytest.mark.parametrize("schema_format", DIALECTS, ids=str)
@pytest.mark.parametrize(
    "tools",
    [
        [doubling(60)] * 20,
        [doubling(60, minLength=1)] * 20,
        [cyclic(60)] * 20,
        [doubling(20)] * 512,
    ],
    ids=["doubling", "siblings", "cyclic", "512 tools"],
)
def test_the_limit_holds_for_all_tools_of_a_request(
    tools: list[Json], schema_format: SchemaFormat
) -> None:
    body, warnings = translated(
        [function(f"f{n}", parameters) for n, parameters in enumerate(tools)], schema_format
    )
    [tool] = body["tools"]
    assert len(tool["functionDeclarations"]) == len(tools)
    # Each node may bring the object that holds its properties.
    assert nodes_in(tool) < 2 * MAX_NODES + 4 * len(tools)
    assert CUT_OFF in warnings


def test_a_definition_is_converted_once() -> None:
    cleaned = schema.clean(doubling(12), Budget())
    assert nodes_in(cleaned) > 2**12
    assert len(made_in(cleaned, set())) < 6 * 12


@pytest.mark.parametrize("repeats", [0, 2])
def test_the_work_for_refs_is_bounded(repeats: int) -> None:
    budget = Budget()
    tool = cyclic(60)
    tool["$defs"]["L7"]["allOf"] = [{"$ref": "#/$defs/L9"}]
    cleaned = schema.clean(tool, budget, repeats=repeats)
    assert len(made_in(cleaned, set())) < 4 * MAX_INLINED


def test_a_large_node_counts_as_several() -> None:
    enum = {"enum": [f"{n:09}" for n in range(5_000)]}
    properties = {f"p{n}": {"$ref": "#/$defs/E", "minLength": n} for n in range(2_000)}
    body, warnings = translated(
        [function("f", {"properties": properties, "$defs": {"E": enum}})], SchemaFormat()
    )
    assert len(json.dumps(body)) < 2 * MAX_NODES * schema.NODE_BYTES
    assert CUT_OFF in warnings


def test_ordinary_schemas_are_sent_whole() -> None:
    parameters = {
        "properties": {f"p{n}": {"type": "string", "description": "d" * 60} for n in range(30)}
    }
    tools = [function(f"f{n}", parameters) for n in range(512)]
    body, warnings = translated(tools, SchemaFormat())
    assert not warnings
    for tool in body["tools"][0]["functionDeclarations"]:
        assert tool["parametersJsonSchema"] == {"type": "object", **parameters}


def nested(key: str, depth: int, wrap: type) -> Json:
    node: Json = {"type": "string"}
    for _ in range(depth):
        node = {key: [node] if wrap is list else {"a": node}}
    return node


def definitions_in_themselves(count: int) -> Json:
    """Each definition holds itself and the next one."""
    definitions = {
        str(n): {"properties": {"s": {"$ref": f"#/$defs/{n}"}, "n": {"$ref": f"#/$defs/{n + 1}"}}}
        for n in range(count)
    }
    return {"$ref": "#/$defs/0", "$defs": definitions}


@pytest.mark.parametrize(
    "given",
    [
        nested("allOf", 2_000, list),
        nested("anyOf", 2_000, list),
        nested("properties", 2_000, dict),
        definitions_in_themselves(400),
        {"$ref": "#/$defs/0", "$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(5000)}},
    ],
    ids=["allOf", "anyOf", "properties", "definitions", "chain"],
)
@pytest.mark.parametrize("repeats", [0, 2])
def test_no_nesting_is_too_deep(given: Json, repeats: int) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(600)
    try:
        schema.clean(given, Budget(), repeats=repeats)
    finally:
        sys.setrecursionlimit(limit)


def test_a_type_that_is_named_twice_counts_once() -> None:
    node: Json = {"type": "string"}
    for _ in range(40):
        node = {"type": ["object", "object", "object"], "properties": {"a": node}}
    fields, _ = SchemaFormat(is_json_schema=False).parameters(node, Budget())
    assert nodes_in(fields) < 3 * 40


def test_branches_merge_in_their_order() -> None:
    branches = [{"properties": {f"p{n}": {"type": "string"}}, "required": [f"p{n}"]} for n in "ab"]
    given = {"properties": {"pa": {"type": "integer"}}, "allOf": [*branches, {"required": 3}]}
    assert schema.clean(given, Budget()) == {
        "type": "object",
        "properties": {"pb": {"type": "string"}, "pa": {"type": "integer"}},
        "required": ["pb", "pa"],
    }


SUBSCHEMAS = """properties items prefixItems anyOf oneOf allOf $ref $defs const nullable required
    exclusiveMinimum exclusiveMaximum multipleOf uniqueItems additionalProperties"""
KEYWORDS = [*schema._SENT, *SUBSCHEMAS.split()]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, "", "x", "\ud800", "object", "string", "#", "#/$defs/a", "#/a/9"])
)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYWORDS, "a"]), inner, max_size=5)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), ANY), st.sampled_from(DIALECTS))
def test_anything_in_place_of_a_schema(given: Json, schema_format: SchemaFormat) -> None:
    schema_format.parameters(given, Budget())
    schema_format.response(given, Budget())

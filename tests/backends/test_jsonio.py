"""JSON in and out without a change of value or order."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from backends import jsonio


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":2}',
        '{"n":123456789012345678901234567890}',
        '{"a":1.0,"b":1,"c":-0.0,"d":0.1}',
        '{"a":"é😀\u2028\\n\\\\"}',
        '{"a":"\\ud83d"}',
        "[" * 300 + "]" * 300,
        "null",
    ],
)
def test_round_trip(text: str) -> None:
    assert jsonio.encode(jsonio.decode(text.encode())).decode() == text


@pytest.mark.parametrize("text", ["", "{", '{"a":1} x', "nul", "[" * 100_000])
def test_broken_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="line 1 column"):
        jsonio.decode(text.encode())


@pytest.mark.parametrize(
    ("value", "fields", "count"),
    [
        ({"a": 1}, {"a": 1}, 0),
        ([{"a": 1}], {}, 0),
        (None, {}, 0),
        (7, {}, 7),
        (7.0, {}, 7),
        (True, {}, 0),
        ("7", {}, 0),
        (1e300, {}, 0),
    ],
)
def test_lenient_readers(value: object, fields: jsonio.Json, count: int) -> None:
    assert jsonio.fields(value) == fields
    assert jsonio.count(value) == count


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"1", 1),
        (b"[1,2,3]", 4),
        (b'{"a":{},"b":[ ]}', 3),
        (b'["{[,,,", "\\"{{{", "\\\\", 1]', 5),
        (b'["\\\\",1,"{,"]', 4),
        (b'"{,', 1),
    ],
)
def test_values_are_counted_outside_of_strings(text: bytes, values: int) -> None:
    assert not jsonio.has_more_values(text, values)
    assert values == 1 or jsonio.has_more_values(text, values - 1)


JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\{[,é\ud800')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('"\\{[,')), inner),
)


def values_in(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + sum(map(values_in, value.values() if isinstance(value, dict) else value))
    return 1


@given(JSON)
def test_the_count_is_that_of_the_decoded_values(value: Any) -> None:
    text, values = json.dumps(value).encode(), values_in(value)
    assert not jsonio.has_more_values(text, values)
    assert values == 1 or jsonio.has_more_values(text, values - 1)


@given(st.binary(), st.integers(1, 20))
def test_no_bytes_break_the_count(body: bytes, limit: int) -> None:
    jsonio.has_more_values(body, limit)

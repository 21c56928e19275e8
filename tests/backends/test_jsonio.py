"""JSON in and out without a change of value or order."""

import pytest

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

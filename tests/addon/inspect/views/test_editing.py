"""Bodies as text to edit: nothing is lost, and an edit means what it says."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st
from mitmproxy.utils import strutils

from addon.inspect.views import yaml_text
from addon.inspect.views.editing import MAX_YAML_BYTES, from_editable, to_editable

NASTY = r"""
- a|? a|a: b|a #b|key:|%x|@x|`x|...|--- a|---|!!str|&a|*a|null|~|true|True|yes|no|1|-1|1.0|1e3|1E400
|0x10|1_000|01|.5|+1|2024-01-01|12:30:45|=|<<|'|"|\|it's|say "hi"|{"a":1}|[1]|{|[|]|,|:|::|#|a#|>
|Infinity|NaN|.inf| a|a | |é|🚀|
""".replace("\n", "").split("|")
LINES = ["a \nb", "  a\nb", "\ta\nb", "\na", " \na", "a\n ", "a\n", "a\n\n", "\n", "\n\n", "#a\nb"]
LINES += ["---\nb", "- x\n- y", "a\n\xa0\n", "x\n\t", "\n \n", "a: b\nc: d\n", "🚀\nx", "|\n>"]
ODD = [
    *"\t\r\0\x1b\x7f\x85\x9f\xa0\u2028\u2029\ufeff\ufffe\uffff",
    "a\r\nb",
    "a\x85b\nc",
    "\U0010ffff",
]
STRINGS = [*NASTY, *LINES, *ODD]

TEXT = st.one_of(
    st.sampled_from(STRINGS),
    st.text(max_size=20),
    st.lists(st.sampled_from(STRINGS), max_size=4).map("".join),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
SPACING = st.sampled_from([None, 2])


def same(one: Any, other: Any) -> bool:
    """Equal also in types and the order of keys."""
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("text", STRINGS, ids=ascii)
def test_every_text_fits_into_yaml(text: str) -> None:
    for value in (text, [text], {text: text}, {"k": [text, [text, {"x": text}]]}, [[text], {}]):
        assert same(yaml_text.read(yaml_text.write(value)), value)


@given(JSON)
def test_any_value_fits_into_yaml(value: Any) -> None:
    assert same(yaml_text.read(yaml_text.write(value)), value)


@given(JSON, SPACING, st.booleans())
def test_without_an_edit_the_bytes_stay(value: Any, indent: int | None, is_ascii: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()
    text = to_editable(body)
    assert from_editable(text, body) == body
    assert same(json.loads(from_editable(text, None)), value)


@given(JSON, JSON)
def test_an_edit_comes_out(before: Any, after: Any) -> None:
    body = json.dumps({"x": before}).encode()
    edited = to_editable(json.dumps({"x": after}).encode())
    assert same(json.loads(from_editable(edited, body)), {"x": after})


@given(st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_any_bytes_stay(body: bytes) -> None:
    assert from_editable(to_editable(body), body) == body


def test_yaml_is_made_for_people() -> None:
    chat = {
        "model": "m",
        "temperature": 1.0,
        "big": 12345678901234567890,
        "messages": [
            {"role": "system", "content": "Be kind 🚀 \n\n- always\n"},
            {"role": "user", "content": [{"type": "text", "text": "no"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"arguments": '{"a":"b"}'}]},
        ],
        "stop": [],
        "metadata": {},
    }
    expected = """\
model: m
temperature: 1.0
big: 12345678901234567890
messages:
- role: system
  content: |
    Be kind 🚀 \n\

    - always
- role: user
  content:
  - type: text
    text: no
- role: assistant
  content: null
  tool_calls:
  - arguments: '{"a":"b"}'
stop: []
metadata: {}
"""
    assert to_editable(json.dumps(chat).encode()) == expected


EDITED = {
    "a word": ("x: 1", "x: no", b'{"x":"no"}'),
    "a date": ("x: 1", "x: 2024-01-01", b'{"x":"2024-01-01"}'),
    "nothing": ("x: 1", "x:", b'{"x":null}'),
    "order": ("x: 1", "y: 2\nx: 1", b'{"y":2,"x":1}'),
    "a float": ("x: 1", "x: 1.0", b'{"x":1.0}'),
    "a key": ("x: 1", "1: 1", b'{"1":1}'),
    "folded lines": ("x: 1", "x: >-\n  a\n  b", b'{"x":"a b"}'),
    "JSON": ("x: 1", '{"x": "\\ud83d"}', b'{"x":"\\ud83d"}'),
    "a comment": ("x: 1", "# why\nx: 2", b'{"x":2}'),
}


@pytest.mark.parametrize("name", EDITED)
def test_edit(name: str) -> None:
    shown, edited, expected = EDITED[name]
    assert to_editable(b'{ "x": 1 }') == shown + "\n"
    assert from_editable(edited, b'{ "x": 1 }') == expected


WRONG = {
    "x: [1": "line 2: did not find expected",
    "a: 1\nx: y: z": "line 2: mapping values",
    "x: 1\nx: 2": "line 2: the key 'x' is there twice",
    "x: !z 1": "line 1: JSON has no !z",
    "[x]: 1": "line 1: ",
    "? [x]\n: 1": "line 1: a key must be text",
    "x: *y": "line 1: found undefined alias",
    "x: 1\ny: \x01": "line 2: ",
    "x: 1e999": "line 1: the number is too large",
    f"x: {'1' * 5000}": "line 1: the number is too large",
    "x\n- y": "must stay an object",
    "": "must stay an object",
    '{"x":\n]': "line 2: Expecting value",
    '{"x": NaN}': "not JSON compliant",
    '{"x": 1E400}': "not JSON compliant",
    "&a [*a]": "nested too deeply",
    "[" * 100_000: "nested too deeply",
    "x: \ud83d": "surrogates not allowed",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: ascii(text)[:30])
def test_wrong_edit(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text].replace("[", r"\[")):
        from_editable(text, b'{"x": 1}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"x": "half \\ud83d"}',
        json.dumps({"x" * 2000: 1}).encode(),
        json.dumps({"x": "y" * MAX_YAML_BYTES}).encode(),
        json.dumps({"x": [1] * 200_000}).encode(),
    ],
    ids=["a lone surrogate", "a long key", "much", "many"],
)
def test_json_where_yaml_does_not_fit(body: bytes) -> None:
    text = to_editable(body)
    assert text.startswith('{\n  "x')
    assert from_editable(text, body) == body
    edited = text.replace("{", '{"added": 1,', 1)
    assert json.loads(from_editable(edited, body)) == {"added": 1, **json.loads(body)}
    with pytest.raises(ValueError, match="line 1"):
        from_editable(f"{{]{text}", body)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {}\r\n\r\n: ping\r\n\r\n",
        b"\xff\0 no text",
        b'{"x": NaN}',
        b'{"x": 1E400}',
        b"{",
        b"",
    ],
)
def test_what_is_not_json_is_edited_as_it_is(body: bytes) -> None:
    text = to_editable(body)
    assert text == body.decode("utf-8", "replace")
    from_editor = strutils.escape_control_characters(text).replace("\r\n", "\n") + "\n"
    assert from_editable(from_editor, body) == body
    assert from_editable("new\n", body) == b"new\n"


@pytest.mark.parametrize("depth", [300, 2000, 100_000])
def test_deep_values_stay(depth: int) -> None:
    body = b"[" * depth + b"]" * depth
    assert from_editable(to_editable(body), body) == body


def test_indentation_does_not_explode() -> None:
    body = b"[" * 150 + b"1," * 90_000 + b"1" + b"]" * 150
    text = to_editable(body)
    assert len(text) < 2 * len(body)
    assert from_editable(text, body) == body

"""Secrets out of text."""

import copy
import json
import string
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from backends.keys import Key
from backends.redact import PLACEHOLDER, Redactor

SECRET = "sk-or-v1-0123456789abcdef"
ESCAPED = SECRET.replace("o", "\\u006f")
REDACTOR = Redactor([Key("OPENROUTER_API_KEY", SECRET), Key("OTHER", "p/a\"s\\s<'>")])


def test_the_longest_key_goes_first() -> None:
    redactor = Redactor([Key("A", "sk-1"), Key("B", "sk-1-more")])
    assert redactor.scrub("x sk-1-more y sk-1") == f"x {PLACEHOLDER} y {PLACEHOLDER}"


def test_keys_are_not_patterns() -> None:
    assert Redactor([Key("A", "a.c")]).scrub("abc a.c") == f"abc {PLACEHOLDER}"


@pytest.mark.parametrize("text", ["text", "a\\u0041\\/", ""])
def test_without_keys_nothing_changes(text: str) -> None:
    assert Redactor([]).scrub(text) is text
    chat = {"messages": [{"role": "user", "content": text}]}
    assert Redactor([]).scrub_chat(chat) == (chat, [])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("a/b", r'{"x": "a\/b"}'),
        ("a/b", r'{"x": "a\\\/b"}'),
        ('a"b', r'{"x": "a\"b"}'),
        ("a\\b", r'{"x": "a\\b"}'),
        ("AbKo", r'{"x": "\u0041b\u004BO"}'.replace("O", "o")),
        ("AbKo", r'{"x": "\\u0041b\\\\u004bo"}'),
        ("a<b>&'", r'{"x": "a\u003cb\u003e\u0026\u0027"}'),
    ],
)
def test_keys_that_json_escapes(key: str, text: str) -> None:
    assert Redactor([Key("A", key)]).scrub(text) == f'{{"x": "{PLACEHOLDER}"}}'


@given(
    st.text(string.ascii_letters + string.digits + string.punctuation, min_size=4),
    st.integers(0, 3),
    st.data(),
)
def test_keys_in_json_in_json(key: str, depth: int, data: st.DataObject) -> None:
    text = f"<{key}>"
    for _ in range(depth):
        text = json.dumps({"k": text})
        text = text.replace("/", data.draw(st.sampled_from(["/", "\\/"])))
    clean = Redactor([Key("A", key)]).scrub(text)
    assert key not in clean
    assert PLACEHOLDER in clean


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    "message",
    [
        user(f"a {SECRET} b"),
        user([{"type": "text", "text": f"a {SECRET} b"}, {"type": "other", "x": [SECRET]}]),
        {"role": "system", "content": SECRET},
        {"role": "assistant", "content": None, "reasoning_content": SECRET},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": SECRET}]},
        {"role": "assistant", "tool_calls": [{"function": {"arguments": f'{{"a":"{SECRET}"}}'}}]},
        {"role": "assistant", "tool_calls": [{"function": {"arguments": ESCAPED}}]},
        user([{"type": "image_url", "image_url": {"url": f"https://x/?key={SECRET}"}}]),
        user([{"type": "file", "file": {"file_data": f"data:text/plain,{SECRET}"}}]),
    ],
    ids=str,
)
def test_all_texts_of_a_request(message: dict[str, Any]) -> None:
    other = user([{"type": "text", "text": "fine"}])
    chat = {"model": "m", "messages": [other, message], "temperature": 1.5}
    before = copy.deepcopy(chat)
    clean, names = REDACTOR.scrub_chat(chat)
    assert names == ["OPENROUTER_API_KEY"]
    assert chat == before
    assert list(clean) == list(chat)
    assert clean["messages"][0] is other
    expected = json.dumps(message).replace("\\\\u006f", "o").replace(SECRET, PLACEHOLDER)
    assert clean["messages"][1] == json.loads(expected)


@pytest.mark.parametrize("name", [SECRET, f"a {SECRET}", ESCAPED.replace("\\u", "\\\\u")])
def test_names_of_fields(name: str) -> None:
    call = {"function": {"arguments": "{}", "parameters": {"a": 1, name: [SECRET, 2], "z": 3}}}
    chat = {"model": "m", "metadata": {name: "x"}, "messages": [user("a")], "tools": [call]}
    before = copy.deepcopy(chat)
    clean, names = REDACTOR.scrub_chat(chat)
    assert (chat, names) == (before, ["OPENROUTER_API_KEY"])
    assert "cdef" not in json.dumps(clean)
    parameters = clean["tools"][0]["function"]["parameters"]
    assert list(parameters.values()) == [1, [PLACEHOLDER, 2], 3]
    assert list(parameters)[0::2] == ["a", "z"]
    assert list(clean["metadata"].values()) == ["x"]
    assert clean["messages"] is chat["messages"]


LETTERS = "abcdefgh01234567"


@pytest.mark.parametrize("secret", [SECRET, LETTERS])
@pytest.mark.parametrize("start", ["data:image/png;base64,", ""])
@pytest.mark.parametrize("end", ["", "=", " tail"])
def test_keys_behind_base64(secret: str, start: str, end: str) -> None:
    redactor = Redactor([Key("A", SECRET), Key("B", LETTERS)])
    url = f"{start}{'A' * 300}{secret}{end}"
    chat = {"messages": [user([{"type": "image_url", "image_url": {"url": url}}])]}
    clean, names = redactor.scrub_chat(chat)
    assert len(names) == 1
    sent = clean["messages"][0]["content"][0]["image_url"]["url"]
    assert sent == f"{start}{'A' * 300}{PLACEHOLDER}{end}"


def test_a_short_key_behind_base64_is_text() -> None:
    redactor = Redactor([Key("A", "AAAAAAAA")])
    chat = {"messages": [user([{"type": "file", "file": {"file_data": f"{'A' * 300} AAAAAAAA"}}])]}
    clean, _ = redactor.scrub_chat(chat)
    assert clean["messages"][0]["content"][0]["file"]["file_data"] == f"{'A' * 300} {PLACEHOLDER}"


def test_headers() -> None:
    headers = [("x-title", f"my {SECRET}"), ("user-agent", "a/1"), (f"x-openrouter-{SECRET}", "1")]
    expected = [("x-title", f"my {PLACEHOLDER}"), ("user-agent", "a/1")]
    assert REDACTOR.scrub_headers(headers) == expected


def test_a_clean_request_stays_the_same_object() -> None:
    chat = {"messages": [user("a"), user([{"type": "text", "text": "\\u0041"}]), 5, None, []]}
    assert REDACTOR.scrub_chat(chat)[0] is chat


def test_all_keys_found_are_named_once() -> None:
    chat = {"messages": [user(SECRET), user(f"p\\/a\\\"s\\\\s\\u003c'> {SECRET}")], "user": SECRET}
    clean, names = REDACTOR.scrub_chat(chat)
    assert names == ["OPENROUTER_API_KEY", "OTHER"]
    texts = [PLACEHOLDER, f"{PLACEHOLDER} {PLACEHOLDER}"]
    assert clean == {"messages": [*map(user, texts)], "user": PLACEHOLDER}


def test_a_key_that_is_a_word_breaks_no_request() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "text" * 100}}
    audio = {"type": "input_audio", "input_audio": {"data": "user" * 100}}
    chat = {"messages": [user([image, audio, {"type": "text", "text": "the user's text"}])]}
    clean, _ = Redactor([Key("A", "user"), Key("B", "text")]).scrub_chat(chat)
    content = clean["messages"][0]["content"]
    assert clean["messages"][0]["role"] == "user"
    assert content[0] is image
    assert content[1] is audio
    assert content[2] == {"type": "text", "text": f"the {PLACEHOLDER}'s {PLACEHOLDER}"}


def test_deep_nesting() -> None:
    deep: Any = [SECRET]
    for _ in range(100_000):
        deep = [deep]
    clean, names = REDACTOR.scrub_chat({"messages": deep})
    assert names
    inner = clean["messages"]
    while isinstance(inner[0], list):
        inner = inner[0]
    assert inner == [PLACEHOLDER]
    # Python's own clean-up of nested lists is recursive in places; take them apart here.
    for nested in (deep, clean["messages"]):
        while nested and isinstance(nested[0], list):
            nested[:], nested = [], nested[0]


@pytest.mark.parametrize(
    "text",
    [
        "\\" * 1_000_000 + "\\u00",
        "\\u0073k-or-v1-" * 80_000,
        "sk-or-v1-0123456789abcde" * 40_000,
        "A" * 50_000_000,
    ],
    ids=["backslashes", "escapes", "beginnings", "large"],
)
def test_long_texts_take_linear_time(text: str) -> None:
    start = time.process_time()
    assert REDACTOR.scrub(text) is text
    assert time.process_time() - start < 3

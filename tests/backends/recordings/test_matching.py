"""Which requests match, and how a difference is described."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from backends.recordings import matching
from backends.recordings.matching import Fingerprint

CHAT: dict[str, Any] = {
    "model": "openrouter:acme/coder",
    "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "ls", "parameters": {}}}],
    "messages": [
        {"role": "system", "content": "You are a coder."},
        {"role": "user", "content": [{"type": "text", "text": "List the files."}]},
    ],
}


def fingerprint(request: dict[str, Any]) -> Fingerprint:
    return matching.fingerprint_of("chat", request, {}, ("openrouter", "gemini"))


def asking(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


# Pairs of which one was said in one run, and the other in another.
VOLATILE = [
    ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "AAAA04E0-4F89-11D3-9A0C-0305E82C3301"),
    ("3f2504e04f8911d39a0c0305e82c3301", "00000000000000000000000000000000"),
    ("2026-11-23", "2027-01-02"),
    ("2026/11/23", "2027/01/02"),
    ("2026-11-23T10:15:00Z", "2027-01-02T23:59:59.123456+01:00"),
    ("2026-11-23 10:15", "2027-01-02 9:05:59,123"),
    ("11/23/2026", "1/2/2027"),
    ("23.11.2026", "2.1.2027"),
    ("11/23/2026, 3:45:12 PM", "1/2/2027, 10:01:02 AM"),
    ("Mon Nov 23 2026", "Sat Jan 02 2027"),
    ("Monday, November 23, 2026", "Saturday, January 2, 2027"),
    ("November 23rd, 2026", "May 2nd, 2027"),
    ("23 Nov 2026", "2 January 2027"),
    ("Mon Nov 23 10:15:00 UTC 2026", "Sat Jan  2 23:59:59 CEST 2027"),
    ("-rw-r--r-- 1 me me 12 Nov 23 10:15 a.py", "-rw-r--r-- 1 me me 12 Jan  2 23:59 a.py"),
    ("10:15", "23:59:59.5"),
    ("3:15 PM", "11:59am"),
    ("1790000000", "1799999999"),
    ("1790000000123", "1799999999456"),
    ("1790000000.5", "1799999999.123456"),
    ("3 passed in 0.12s", "3 passed in 12.5s"),
    ("took 120ms", "took 7ms"),
    ("http://localhost:8000/x", "http://localhost:54321/x"),
    ("127.0.0.1:8000", "127.0.0.1:80"),
    ("http://[::1]:8000", "http://[::1]:9000"),
    ("<Foo object at 0x7f8b1c2d3e50>", "<Foo object at 0x10a2b3c4d>"),
    ("/tmp/tmpab12_x9/a.py", "/tmp/tmpzz98_k0/a.py"),
    ("/tmp/tmp.Ab3dE6gH1j/a.py", "/tmp/tmp.zzzzzzzzzz/a.py"),
    ("/tmp/pytest-of-me/pytest-3/test_x0", "/tmp/pytest-of-me/pytest-14/test_x0"),
    ("/tmp/agent-Xy1aB2", "/tmp/agent-q9Zz00"),
    ("/private/var/folders/ab/c1/T/tmpabc/x", "/private/var/folders/ab/c1/T/tmpdef/x"),
    (r"C:\Users\me\AppData\Local\Temp\tmpabc\x", r"C:\Users\me\AppData\Local\Temp\tmpxyz\x"),
]
MEANINGFUL = [
    ("a", "b"),
    ("line 10", "line 11"),
    ("main.py:10:15", "main.py:10:16"),
    ("v1.2.3", "v1.2.4"),
    ("192.168.0.1:80", "192.168.0.1:81"),
    ("example.com:8000", "example.com:8001"),
    ("/tmp/input1.txt", "/tmp/input2.txt"),
    ("/tmp/build/a.py", "/tmp/source/a.py"),
    ("0x7f8b1c2d", "0x7f8b1c2e"),
    ("0123456789", "0123456788"),
    ("2999999999", "2999999998"),
    ("25:61", "25:62"),
    ("2026-13-45", "2026-13-46"),
    ("sleep 5s", "sleep 6s"),
    ("in May", "in June"),
    ("deadbeef", "deadbeee"),
]


FRAMES = ["{}", "It is {} now.", "a\n{}\nb", "({})", "\t{}, c", '"{}"', "在{}的"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("one", "other"), VOLATILE)
def test_volatile_text_matches(frame: str, one: str, other: str) -> None:
    first, second = (fingerprint(asking(frame.format(text))) for text in (one, other))
    assert first.normalized == second.normalized
    assert first.exact != second.exact
    assert matching.first_difference(first, second) is None
    # In the result of a tool that speaks JSON line ends are escaped once more.
    first, second = (
        fingerprint(asking(json.dumps({"out": frame.format(text)}))) for text in (one, other)
    )
    assert first.normalized == second.normalized


@pytest.mark.parametrize("frame", ["{}", "It is {} now.", "a\n{}\nb"])
@pytest.mark.parametrize(("one", "other"), MEANINGFUL)
def test_all_other_text_counts(frame: str, one: str, other: str) -> None:
    first, second = (fingerprint(asking(frame.format(text))) for text in (one, other))
    assert first.normalized != second.normalized
    assert matching.first_difference(first, second)


WORDS = st.text("abcdefg .,\n{}\"'\\/äß😀", max_size=12)
VOLATILE_PAIRS = st.lists(st.sampled_from(VOLATILE), min_size=1, max_size=5)


@given(st.lists(WORDS, min_size=6, max_size=6), VOLATILE_PAIRS)
def test_volatile_text_among_words(words: list[str], pairs: list[tuple[str, str]]) -> None:
    def said(side: int) -> str:
        texts = [pair[side] for pair in pairs]
        spaced = (f"{word} {text} " for word, text in zip(words, texts, strict=False))
        return "".join(spaced) + words[-1]

    assert fingerprint(asking(said(0))).normalized == fingerprint(asking(said(1))).normalized


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_requests_are_the_same_exactly_if_their_json_is(one: object, other: object) -> None:
    first, second = fingerprint(CHAT | {"tools": [one]}), fingerprint(CHAT | {"tools": [other]})
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (first.exact == second.exact) is same
    assert (first.normalized == second.normalized) is same
    assert (matching.first_difference(first, second) is None) is same


SAME = {
    "another user": {"user": "me", "safety_identifier": "me"},
    "another session": {"session_id": "x", "metadata": {"run": 1}, "trace": {}},
    "another cache": {"prompt_cache_key": "x", "prompt_cache_retention": "24h"},
    "another plan": {"service_tier": "flex", "store": True},
    "another form of the response": {
        "stream": True,
        "stream_options": {"include_usage": True},
        "usage": {"include": True},
    },
    "another draw": {"seed": 1},
    "a field of null": {"top_p": None},
    "its fields in another order": dict(reversed(CHAT.items())),
    "its backend named otherwise": {"model": "acme/coder"},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_does_not_count(change: dict[str, Any]) -> None:
    changed = change | {key: value for key, value in CHAT.items() if key not in change}
    assert fingerprint(changed).exact == fingerprint(CHAT).exact
    assert matching.first_difference(fingerprint(CHAT), fingerprint(changed)) is None


SYSTEM, USER = CHAT["messages"]
DIFFERENT = {
    "model": (
        {"model": "gpt-4o-2024-08-06"},
        'model: recorded "acme/coder", requested "gpt-4o-2024-08-06"',
    ),
    "a number": ({"temperature": 1}, "temperature: recorded 0.5, requested 1"),
    "a new field": (
        {"response_format": {"type": "json_object"}},
        'response_format: recorded nothing, requested {"type":"json_object"}',
    ),
    "inside a tool": (
        {"tools": [{"type": "function", "function": {"name": "cat", "parameters": {}}}]},
        'tools[0].function.name: recorded "ls", requested "cat"',
    ),
    "one message more": (
        {"messages": [SYSTEM, USER, {"role": "user", "content": "Now"}]},
        'messages[2]: recorded nothing, requested {"content":"Now","role":"user"}',
    ),
    "one message less": (
        {"messages": [SYSTEM]},
        'messages[1]: recorded {"content":[{"text":"List the files.","type":"text"}],'
        '"role":"user"}, requested nothing',
    ),
    "a part of a message": (
        {"messages": [SYSTEM, {**USER, "content": [{"type": "text", "text": "List files."}]}]},
        'messages[1].content[0].text: recorded "List the files.", requested "List files."',
    ),
    "another type": (
        {"messages": [SYSTEM, {**USER, "content": "List the files."}]},
        'messages[1].content: recorded [{"text":"List the files.","type":"text"}], '
        'requested "List the files."',
    ),
}


@pytest.mark.parametrize(("change", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_first_difference_is_shown(change: dict[str, Any], message: str) -> None:
    first, second = fingerprint(CHAT), fingerprint(CHAT | change)
    assert first.normalized != second.normalized
    assert matching.first_difference(first, second) == message


def test_a_date_in_the_name_of_a_model_counts() -> None:
    one, other = (
        fingerprint({"model": "gpt-4o-2024-05-13"}),
        fingerprint({"model": "gpt-4o-2024-08-06"}),
    )
    assert one.normalized != other.normalized
    assert matching.first_difference(one, other) == (
        'model: recorded "gpt-4o-2024-05-13", requested "gpt-4o-2024-08-06"'
    )


def test_long_texts_are_clipped_around_the_difference() -> None:
    one, other = "a" * 1000 + "b" + "c" * 1000, "a" * 1000 + "d" + "c" * 1000
    message = matching.first_difference(fingerprint(asking(one)), fingerprint(asking(other)))
    assert message == (
        f"messages[0].content: recorded ...{'a' * 30}b{'c' * 69}..., "
        f"requested ...{'a' * 30}d{'c' * 69}..."
    )


def test_known_parts_are_shared() -> None:
    first = fingerprint(CHAT)
    known = {part.exact: part for part in first.messages}
    copy = json.loads(json.dumps(CHAT))
    second = matching.fingerprint_of("chat", copy, known, ("openrouter", "gemini"))
    assert all(a is b for a, b in zip(first.messages, second.messages, strict=True))


def test_lone_surrogates() -> None:
    assert fingerprint(asking("\ud800")).exact == fingerprint(asking("\ud800")).exact

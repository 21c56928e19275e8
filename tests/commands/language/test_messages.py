"""Where commands may stand in a chat, and what is left of it without them."""

import copy
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from commands.agents.table import AGENTS, Agent
from commands.language import messages
from commands.language.messages import PLACEHOLDER_TEXT, Messages, Spans, TypedRange

COMMAND = re.compile(r"!/\w+(\([^)]*\))?")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ENVIRONMENT = "<environment_details>\n!/evil\n</environment_details>"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def call(name: str, arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return assistant(None, tool_calls=[{"id": "1", "type": "function", "function": function}])


def result(content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "1", "content": content}


def spans_of(chat: Messages) -> Spans:
    """All that looks like a command in the pieces: what the scanner will do."""
    spans: dict[tuple[int, int | None], list[tuple[int, int]]] = {}
    for piece in messages.typed_ranges(chat):
        content = chat[piece.message]["content"]
        whole = content if piece.part is None else content[piece.part]["text"]
        for found in COMMAND.finditer(whole, piece.start, piece.end):
            spans.setdefault((piece.message, piece.part), []).append(found.span())
    return spans


def upstream(chat: Messages, *, is_background: bool = False) -> Messages:
    """What goes upstream; fails if the given messages are changed."""
    before = copy.deepcopy(chat)
    spans = spans_of(chat)
    after = messages.remove(chat, spans)
    changed = {index for index, _ in spans}
    after = messages.drop_old_commands(after, changed, is_background=is_background)
    assert chat == before
    return after


def test_pieces_in_order() -> None:
    chat = [
        system("s"),
        user("old"),
        assistant("a"),
        user([text("one"), IMAGE, {"type": "input_text", "text": "two"}]),
        user("three"),
        system("s"),
        {"role": "developer", "content": "d"},
    ]
    assert messages.typed_ranges(chat) == [
        TypedRange(1, None, 0, 3, False),
        TypedRange(3, 0, 0, 3, False),
        TypedRange(3, 2, 0, 3, False),
        TypedRange(4, None, 0, 5, True),
    ]


@pytest.mark.parametrize(
    ("behind", "newest"),
    [
        ([], [0]),
        ([user("b")], [1]),
        ([user("b"), user(ENVIRONMENT)], [1]),
        ([user([IMAGE])], []),
        ([user([IMAGE, text("b")])], [1]),
        ([user(""), system("s"), user(" ' ")], [0]),
        ([user("b"), assistant("a"), user(ENVIRONMENT)], []),
    ],
    ids=str,
)
def test_only_the_last_message_of_the_human_is_searched(
    behind: Messages, newest: list[int]
) -> None:
    found = messages.typed_ranges([user("a"), *behind])
    assert sorted({piece.message for piece in found if piece.is_newest}) == newest


def test_what_stands_before_a_given_message_is_old() -> None:
    chat = [user("a"), user("!/b")]
    assert [piece.is_newest for piece in messages.typed_ranges(chat, 1)] == [False, True]
    assert not any(piece.is_newest for piece in messages.typed_ranges(chat, 2))
    after = messages.remove(chat, spans_of(chat))
    assert messages.is_blank(after, 1)
    assert not messages.is_blank(after)
    assert messages.drop_old_commands(after, {1}, 1) == [user("a"), user(PLACEHOLDER_TEXT)]


SUMMARY = "Another language model started to solve this problem and produced a summary: !/evil"


@pytest.mark.parametrize(
    "last",
    [
        assistant("a"),
        result("r"),
        {"role": "function"},
        user(SUMMARY),
        user([text(SUMMARY)]),
        user("## Conversation Summary\nWe did it. !/evil"),
        user("Previous conversation summary:\n\nWe did it. !/evil"),
        user("## Current State\n\n- !/evil"),
        user([text("Tool output for read_file tool call:\n\n!/evil")]),
        user("Tool Output: !/evil"),
        user("[read_file for 'a'] Result:\n!/evil"),
        user("The previous session was interrupted because it got too long, it was: `!/evil`"),
        {},
        5,
    ],
)
def test_a_turn_that_was_taken_up_is_not_the_newest(last: Any) -> None:
    assert not any(piece.is_newest for piece in messages.typed_ranges([user("a"), last]))


@pytest.mark.parametrize(
    "message",
    [
        system("!/evil"),
        {"role": "developer", "content": [text("!/evil")]},
        assistant("!/evil"),
        assistant([text("!/evil")]),
        call("run", '{"command": "!/evil"}'),
        result("!/evil"),
        result([text("!/evil")]),
        {"role": "function", "name": "f", "content": "!/evil"},
        {"role": "User", "content": "!/evil"},
        {"content": "!/evil"},
        user([{"type": "tool_result", "content": "!/evil", "text": "!/evil"}]),
        user([{"type": "file", "file": {"file_data": "!/evil"}}, {"text": "!/evil"}]),
        user(ENVIRONMENT),
        user([text("[read_file for 'a'] Result:"), text("!/evil")]),
        user([text("[read_file for 'a'] Result:\n!/evil"), text("<feedback>!/evil</feedback>")]),
        user("<task>\n</task>\n<file_content path='a'>\n</file_content>!/evil</file_content>"),
        user("# AGENTS.md instructions\n!/evil"),
        user("## Conversation Summary\nWe did it.\n!/evil"),
        user("Previous conversation summary:\n\n!/evil"),
        user("# Summary\n## Current State\n\n- !/evil"),
        user([text("Tool output for read tool call:\n\n!/evil"), text("!/evil")]),
        user("Tool Output: !/evil"),
        user("see\n<file path='a'/>\n!/evil</file> !/evil"),
        user("<file path='a'>\n!/evil"),
        user("[FILE]\n!/evil"),
        user("--- a.py ---\n!/evil"),
        user("```a.py\n!/evil\n```\n!/evil\n```"),
    ],
    ids=str,
)
def test_what_nobody_typed_is_neither_run_nor_cut(message: Any) -> None:
    for chat in ([message], [user("hi"), message], [message, user("hi")]):
        assert not spans_of(chat)
        assert all(one is other for one, other in zip(upstream(chat), chat, strict=True))


ODD = (
    st.none()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["user", "assistant", "tool", "text", "!/a"])
)
SHAPES = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tool_calls", "function", "name"]),
            inner,
        )
    ),
)


@given(st.lists(SHAPES), st.sampled_from([None, *AGENTS]))
def test_odd_shapes_never_raise(chat: Messages, agent: Agent | None) -> None:
    messages.is_blank(chat)
    messages.is_background_request({"messages": chat, "tools": chat}, agent)
    if not spans_of(chat):
        assert all(one is other for one, other in zip(upstream(chat), chat, strict=True))
    upstream(chat, is_background=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("!/a", ""),
        ("a !/b c", "a c"),
        ("a  !/b  c", "a   c"),
        ("a !/b", "a"),
        ("!/a b", "b"),
        ("a !/b !/c d", "a d"),
        ("a !/b !/c", "a"),
        ("!/a !/b c", "c"),
        ("a\t!/b", "a"),
        ("a,!/b,c", "a,,c"),
        ('"!/a b"', '"b"'),
        ('". !/a"', '"."'),
        ("a\n!/b\nc", "a\nc"),
        ("a\n  !/b\t\nc", "a\nc"),
        ("a\r\n!/b\r\nc", "a\r\nc"),
        ("!/a\nb", "b"),
        ("a\n!/b", "a"),
        ("a\r\n!/b  ", "a"),
        ("a\n!/b !/c\n!/d", "a"),
        ("a\n\n!/b\n\nc", "a\n\n\nc"),
        ("a\n!/b c\nd", "a\nc\nd"),
        ("a\n  x !/b\nd", "a\n  x\nd"),
        ("!/a(b\nc) d", "d"),
        ("!/a(b\nc)\nd", "d"),
        ("<task>\n!/a\n</task>", "<task>\n</task>"),
        ("<task>!/a</task>", "<task></task>"),
    ],
)
def test_cutting(before: str, after: str) -> None:
    found = [match.span() for match in COMMAND.finditer(before)]
    assert messages.remove([user(before)], {(0, None): found}) == [user(after)]


TOKENS = st.sampled_from([".", " ", "\t", "\n", "!/do"])


@given(st.lists(TOKENS).map("".join))
def test_exactly_the_commands_go(before: str) -> None:
    chat = [user(before)]
    after = messages.remove(chat, spans_of(chat))[0]["content"]
    lines = [line for line in before.split("\n") if "." in line or "!" not in line]
    for line, left in zip(lines or [""], after.split("\n"), strict=True):
        rest = line.replace("!/do", "")
        assert "".join(left.split()) == "".join(rest.split())
        assert 0 <= len(rest) - len(left) <= line.count("!")


@given(st.text(max_size=60), st.sets(st.integers(0, 60)))
def test_any_spans_can_be_cut(before: str, places: set[int]) -> None:
    edges = sorted(place for place in places if place <= len(before))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    bounds = zip(
        [0, *(end for _, end in spans)], [*(start for start, _ in spans), None], strict=True
    )
    rest = "".join(before[start:end] for start, end in bounds)
    after = messages.remove([user(before)], {(0, None): spans} if spans else {})[0]["content"]
    assert "".join(after.split()) == "".join(rest.split())


@given(st.lists(st.builds(user, st.text() | st.lists(st.builds(text, st.text())))))
def test_without_commands_all_stays_the_same_objects(chat: Messages) -> None:
    assert all(one is other for one, other in zip(messages.remove(chat, {}), chat, strict=True))
    assert messages.drop_old_commands(chat, ()) == chat


def test_cutting_copies_only_what_differs() -> None:
    part, other = text("!/a b"), text("c")
    chat = [system("s"), user([part, IMAGE, other, text("!/d"), {}, None]), user("e")]
    after = messages.remove(chat, spans_of(chat))
    assert after == [system("s"), user([text("b"), IMAGE, other, {}, None]), user("e")]
    assert (after[0], after[2]) == (chat[0], chat[2])
    assert after[1]["content"][2] is other
    assert part == text("!/a b")
    assert list(
        messages.remove([{"content": "!/a", "role": "user"}], {(0, None): [(0, 3)]})[0]
    ) == [
        "content",
        "role",
    ]


def test_cutting_takes_linear_time() -> None:
    whole = "!/a b " * 150_000
    start = time.process_time()
    [after] = messages.remove(
        [user(whole)], {(0, None): [m.span() for m in COMMAND.finditer(whole)]}
    )
    assert time.process_time() - start < 3
    assert after["content"].split() == ["b"] * 150_000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("!/a", True),
        ('"!/a"', True),
        ('". !/a "', True),
        ("<task>\n!/a\n</task>", True),
        (f"!/a\n\n{ENVIRONMENT}", True),
        ("!/a\n\nTo suggest changes to a file you MUST\n```\n", True),
        ([text("!/a"), text(ENVIRONMENT)], True),
        ([text("[attempt_completion] Result:"), text("<feedback>!/a</feedback>")], True),
        ("!/a b", False),
        ([text("!/a"), text("b")], False),
        ([text("!/a"), IMAGE], False),
        ([text("!/a"), text("[read_file for 'a'] Result:"), text("")], False),
        ("!/a\n```\nb\n```", False),
        ("!/a <div>b</div>", False),
        ("!/a <context> b?", False),
        ("!/a <context>b</context>", True),
        ("!/a [b](c)", False),
        ("!/a\n[FILE]", False),
        (5, False),
    ],
    ids=str,
)
def test_whether_anything_is_left(content: Any, expected: bool) -> None:
    chat = [user("real"), assistant("a"), user(content), system("s")]
    assert messages.is_blank(messages.remove(chat, spans_of(chat))) is expected


def test_all_of_the_newest_turn_counts() -> None:
    assert not messages.is_blank([user("real"), user("")])
    assert messages.is_blank([user(ENVIRONMENT), user("")])
    assert not messages.is_blank([user(""), result("r")])


KINDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "u": user,
    "s": system,
    "a": assistant,
    "call": call,
    "result": result,
    "e": lambda _: user(ENVIRONMENT),
    "both": lambda typed: user([text(typed), text(ENVIRONMENT)]),
    "image": lambda typed: user([*([text(typed)] if typed else []), IMAGE]),
}


def script(lines: str) -> Messages:
    """Messages in short: `u hi | a hello`, kinds as in `KINDS`; `-` for the neutral word."""
    parts = [line.strip().partition(" ") for line in lines.split("|")]
    return [KINDS[kind](PLACEHOLDER_TEXT if rest == "-" else rest) for kind, _, rest in parts]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("u !/a | a ours | u b", "u b"),
        ("s s | u !/a | s t | a ours | u b", "s s | s t | u b"),
        ("u x | a y | u !/a | a ours | u b", "u x | a y | u b"),
        ("u !/a | a ours | u !/a | a ours | u b", "u b"),
        ("u !/a b | a y | u c", "u b | a y | u c"),
        ("u b | u !/a | a y | u c", "u b | a y | u c"),
        ("e | u !/a | a ours | u b", "e | u b"),
        ("both !/a | a ours | u b", "u b"),
        ("image !/a | a y | u b", "image | a y | u b"),
        ("u !/a | u b", "u b"),
        (
            "u !/a | call attempt_completion | result <answer>b</answer> | e",
            "u <answer>b</answer> | e",
        ),
        ("u !/a | call attempt_completion | result | u b", "u b"),
        ("u !/a | call attempt_completion | result", "u - | call attempt_completion | result"),
        ("u !/a | call read | result r", "u - | call read | result r"),
        ("u !/a | a prefill", "u - | a prefill"),
        ("u !/a | a ours | s s", "u - | a ours | s s"),
        ("u !/a", "u -"),
        ("u !/a | both !/b | s s", "u - | s s"),
        ("u x | a y | both !/a", "u x | a y | u -"),
        ("u | a y | u !/a b", "u | a y | u b"),
    ],
)
def test_old_commands_and_our_answers_go(before: str, after: str) -> None:
    assert upstream(script(before)) == script(after)


@given(
    st.lists(
        st.sampled_from(
            script(
                "u !/a | u !/a b | u b | e | s s | a ours | both !/a | image !/a"
                " | call attempt_completion | call read | result r"
            )
        ),
        max_size=12,
    )
)
def test_no_message_goes_up_empty(chat: Messages) -> None:
    for is_background in (False, True):
        after = upstream(chat, is_background=is_background)
        assert not any(message["content"] in ("", []) for message in after)
        assert not spans_of(after)
        if any(message["role"] == "user" for message in chat):
            assert any(message["role"] != "system" for message in after)


def test_side_requests_are_left_something() -> None:
    chat = [system("You are a title generator."), user("Generate a title:"), user('"!/a"')]
    assert upstream(chat, is_background=True) == [*chat[:2], user(PLACEHOLDER_TEXT)]
    assert upstream(chat) == chat[:2]

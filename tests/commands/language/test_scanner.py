import time

import pytest
from hypothesis import given, strategies as st

from commands.language.scanner import (
    MAX_ARGUMENTS,
    MAX_NAME,
    MAX_WASTE,
    Argument,
    ParsedCommand,
    Scanner,
)

LONGEST = "b" * (MAX_ARGUMENTS - 2)
KNOWN = {"help", "hello", "set", "unset", "models", "route-append"}


def find(text: str, prefix: str = "!/") -> ParsedCommand | None:
    return scan(text, 0, len(text), prefix)


def scan(text: str, start: int, end: int, prefix: str) -> ParsedCommand | None:
    return Scanner(KNOWN.__contains__).find(text, start, end, prefix)


@pytest.mark.parametrize(
    ("text", "span", "name"),
    [
        pytest.param("!/help", "!/help", "help", id="alone"),
        pytest.param("!/HeLP", "!/HeLP", "help", id="any case"),
        pytest.param("!/help()", "!/help()", "help", id="no arguments"),
        pytest.param("!/help( )", "!/help( )", "help", id="space for arguments"),
        pytest.param("before !/help after", "!/help", "help", id="between text"),
        pytest.param('"!/help"', "!/help", "help", id="quoted, as opencode does"),
        pytest.param(". !/help", "!/help", "help", id="punctuation before, for shells"),
        pytest.param("Well!!/help!", "!/help", "help", id="punctuation around"),
        pytest.param("(!/help)", "!/help", "help", id="in parentheses"),
        pytest.param("**!/help**", "!/help", "help", id="in Markdown"),
        pytest.param("!/help.", "!/help", "help", id="end of a sentence"),
        pytest.param("!/help\n", "!/help", "help", id="end of a line"),
        pytest.param("!/help (me)", "!/help", "help", id="parentheses further on"),
        pytest.param("请用!/help", "!/help", "help", id="languages without spaces"),
        pytest.param("!/usr/bin !/help", "!/help", "help", id="after something else"),
        pytest.param("!/set(a !/help", "!/help", "help", id="after an open parenthesis"),
        pytest.param("!/bad(x)", "!/bad(x)", "bad", id="unknown with parentheses"),
        pytest.param("!/hello!/help", "!/hello", "hello", id="first of two"),
        pytest.param("!/route-append(a)", "!/route-append(a)", "route-append", id="hyphen"),
        pytest.param("!/set(a=b)!/help", "!/set(a=b)", "set", id="exact end"),
        pytest.param("<a>!/set(b=c)</a>", "!/set(b=c)", "set", id="before a tag's end"),
        pytest.param("<a>!/help</a>", "!/help", "help", id="bare before a tag's end"),
        pytest.param("<a>!/bad(b)</a>", "!/bad(b)", "bad", id="unknown before a tag's end"),
        pytest.param("!/set(a=b)? Or", "!/set(a=b)", "set", id="end of a question"),
        pytest.param("**!/set(a=b)**, c/d", "!/set(a=b)", "set", id="in Markdown with arguments"),
        pytest.param("!/set(a=b), see c/d", "!/set(a=b)", "set", id="before a path"),
        pytest.param("!/bad(x) in /tmp/foo", "!/bad(x)", "bad", id="unknown before a path"),
        pytest.param("!/set(a=(b)c)d)", "!/set(a=(b)c)", "set", id="inner parentheses"),
        pytest.param(f"!/set({'(' * 9}{')' * 9})", f"!/set({'(' * 9}{')' * 9})", "set", id="deep"),
        pytest.param(f"!/set(a={LONGEST})d)", f"!/set(a={LONGEST})", "set", id="longest"),
    ],
)
def test_found(text: str, span: str, name: str) -> None:
    call = find(text)
    assert call
    assert (text[call.start : call.end], call.name) == (span, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!/",
        "help",
        "! /help",
        "!/ help",
        "!/(x)",
        "!/usr/bin",
        "#!/bin/bash",
        "foo!/bin/bash",
        "foo!/help",
        "#!/help",
        "https://host/#!/help",
        "/!/help",
        "!/help/me",
        "!/help\\me",
        "!/models.py",
        "!/helpful",
        "!/help_me",
        "!/help-me",
        "!/helpé",
        "!/help(",
        "!/set(model=a",
        "!/set(model=(a)",
        "!/set(project='a)",
        "!/set(project=\"a')",
        '!/set(project=\\"a")',
        "!/set(a=" + "b" * (MAX_ARGUMENTS - 1) + ")",
        "!/" + "x" * (MAX_NAME + 1) + "(a)",
        "if (!/error(s)?/.test(line))",
        "`!/err(or)s/i`",
        "!/a(b)|c/",
        "!/a(b)+ c/.test(x)",
        "awk '!/a(b) c/ {print}'",
        "!/set(up)?/.test(line)",
        "!/set(a=b)/",
        "!/help|set/",
        "!/help$/",
        "did I type !/bad(x)?",
    ],
)
def test_ordinary_text(text: str) -> None:
    assert find(text) is None


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("set", [("set", None)], id="word"),
        pytest.param("a=b", [("a", "b")], id="value"),
        pytest.param("a=", [("a", "")], id="empty value"),
        pytest.param("=b", [("", "b")], id="empty key"),
        pytest.param("a=b=c", [("a", "b=c")], id="first equals sign"),
        pytest.param(" a = b , c ", [("a", "b"), ("c", None)], id="space around"),
        pytest.param("\n  a=b,\n  c\n", [("a", "b"), ("c", None)], id="several lines"),
        pytest.param("a=b c", [("a", "b c")], id="space inside"),
        pytest.param("b,a,b", [("b", None), ("a", None), ("b", None)], id="order"),
        pytest.param(",a,,b,", [("a", None), ("b", None)], id="nothing between commas"),
        pytest.param('a="b, c)", d', [("a", "b, c)"), ("d", None)], id="double quotes"),
        pytest.param("a='b, c)', d", [("a", "b, c)"), ("d", None)], id="single quotes"),
        pytest.param("a = ' b '", [("a", " b ")], id="space inside quotes"),
        pytest.param('a=""', [("a", "")], id="nothing inside quotes"),
        pytest.param('a="it\'s"', [("a", "it's")], id="other quote inside"),
        pytest.param('a=\\"b, c\\"', [("a", "b, c")], id="quotes with backslash, as opencode does"),
        pytest.param('"a=b", c', [("a=b", None), ("c", None)], id="quoted word"),
        pytest.param("a=it's", [("a", "it's")], id="apostrophe"),
        pytest.param("a='b'c", [("a", "'b'c")], id="quotes around a part"),
        pytest.param("a='b' 'c'", [("a", "'b' 'c'")], id="quotes around parts"),
        pytest.param("a=f(x, y=1), b", [("a", "f(x, y=1)"), ("b", None)], id="parentheses"),
        pytest.param("a=f(')'), b", [("a", "f(')')"), ("b", None)], id="quotes in parentheses"),
        pytest.param(
            "name=n,openrouter:mistralai/mistral-7b-instruct:free",
            [("name", "n"), ("openrouter:mistralai/mistral-7b-instruct:free", None)],
            id="route element",
        ),
        pytest.param("command-prefix=#?", [("command-prefix", "#?")], id="prefix"),
    ],
)
def test_arguments(inside: str, expected: list[tuple[str, str | None]]) -> None:
    call = find(f"!/set({inside})")
    assert call
    assert call.end == len(inside) + 7
    assert call.arguments == tuple(Argument(*each) for each in expected)


def test_nothing_outside_of_the_range_matters() -> None:
    text = "foo!/help(me)"
    call = scan(text, 3, 9, "!/")
    assert call == ParsedCommand("help", (), 3, 9)
    assert scan(text, 3, 8, "!/") is None
    assert scan(text, 3, 12, "!/") is None


@pytest.mark.parametrize("prefix", ["#?", "a!", "((", "=,", "é/", "x" * 10])
def test_other_prefixes(prefix: str) -> None:
    text = f"- {prefix}set(a=b)"
    call = find(text, prefix)
    assert call == ParsedCommand("set", (Argument("a", "b"),), 2, len(text))


# Letters that the grammar knows, so that much of what is made up is nearly a command.
PIECES = st.sampled_from(
    ["!/", "#?", "help", "set", "bad", "(", ")", "'", '"', "\\", ",", "=", " ", "\n", ".", "/", "é"]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=60).map("".join)


@given(TEXTS, st.sampled_from(["!/", "#?", "('", "=)"]))
def test_a_call_is_found_again_in_its_span(text: str, prefix: str) -> None:
    call = find(text, prefix)
    if call:
        assert 0 <= call.start < call.end <= len(text)
        assert call.name == call.name.lower()
        span = text[call.start : call.end]
        again = find(span, prefix)
        assert again
        assert (again.start, again.end) == (0, len(span))
        assert (again.name, again.arguments) == (call.name, call.arguments)


@given(TEXTS)
def test_without_prefix_there_is_nothing(text: str) -> None:
    assert find(text.replace("!", "")) is None


@given(TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_quoted_values_come_back(text: str, pairs: list[tuple[str, str]]) -> None:
    """Whatever has no double quote can be given inside of double quotes."""
    values = [value.replace('"', "").rstrip("\\") for pair in pairs for value in pair]
    inside = ", ".join(f'key="{value}"' for value in values)
    call = scan(f"!/set({inside}){text}", 0, len(inside) + 7, "!/")
    assert call
    assert [argument.value for argument in call.arguments] == values


@pytest.mark.parametrize(
    "piece",
    [
        "!/",
        "!/a(",
        "!/a(b,",
        "!/a('",
        "!/a(\"'",
        "\"!/a('\"',",
        "'!/a(\"'\",",
        '!/a(\\"b,',
        "!/a(=(,",
        "!/" + "a" * MAX_NAME,
        "(((((",
        "!/a(b=c, 'd' ",
    ],
)
def test_time_is_linear(piece: str) -> None:
    """The slowest is some 30 times faster than this; a quadratic one takes minutes."""
    text = "!/a(" + piece * (100_000 // len(piece))
    started = time.perf_counter()
    assert find(text) is None
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("piece", ["#?a(b)c", "#?a(b)?", "#?a(b) c ", "#?help|", "#?help"])
def test_looking_behind_calls_takes_linear_time(piece: str) -> None:
    text, at = piece * (100_000 // len(piece)), 0
    started = time.perf_counter()
    while call := scan(text, at, len(text), "#?"):
        at = call.end
    assert time.perf_counter() - started < 10


def test_time_is_linear_where_prefix_and_name_are_alike() -> None:
    started = time.perf_counter()
    assert find("ab" * 50_000, "ab") is None
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "piece", ["!/ ", "!/nope ", "!/a('", "!/a(=('!/b(", "!/a(b)?/ ", "x!/", "(!/"]
)
def test_a_request_cannot_waste_more_time(piece: str) -> None:
    """What looks like commands and is none is read up to a limit, and nothing behind it."""
    scanner = Scanner(KNOWN.__contains__)
    few, many = piece * 20, piece * (2 * MAX_WASTE // len(piece))
    assert find(few + "') !/help")
    assert scanner.find(many + " !/help", 0, len(many) + 7, "!/") is None
    assert scanner.find("!/help", 0, 6, "!/") is None  # in another text of the request


def test_commands_are_no_waste() -> None:
    scanner = Scanner(KNOWN.__contains__)
    command = f"!/set(a={LONGEST}) "
    expected = 2 * MAX_WASTE // len(command)
    text, at, count = command * expected, 0, 0
    while call := scanner.find(text, at, len(text), "!/"):
        at, count = call.end, count + 1
    assert count == expected

"""Finds commands in text: `PREFIX name` and `PREFIX name(arguments)`, with their exact spans.

It reads and never edits. Whatever is not a whole command is ordinary text, so nothing is an error
here, and every text is read in time linear to its length.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# opencode and Kilo put a backslash before each quote in what is given on their command line.
QUOTES = ('"', "'", '\\"')
MAX_NAME = 64
MAX_DEPTH = 4
"""How many parentheses may be open; with `seen` in `_read_arguments` it keeps the scan linear."""

_STEPS = {"(": 1, ")": -1, ",": 0, "=": 0}
_BEFORE_VALUE = "(,="
# Before a prefix these tell of a path or a URL: `/usr#!/bin`, `https://host/#!/status`.
_GLUE = "_#/\\"
# Behind a command these tell of a regular expression that is negated: `!/error(s)?/.test(line)`.
# Bounded, so that the scan stays linear. The second is for names that are no commands.
_END_OF_PATTERN = re.compile(r"[^\s,;:'\"!`<]{0,64}/")
_IN_PATTERN = re.compile(
    r"[?*+{|$]|[^\n]{0,200}?/[dgimsuvy]{0,4}[ \t]*(?:[.),;&|{?]|$)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Argument:
    """`key=value`, or a bare word, which is a key without a value. Quotes are taken off."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command as it stands in `text[start:end]`; `name` is in lower case."""

    name: str
    arguments: tuple[Argument, ...]
    start: int
    end: int


def scan(
    text: str, start: int, end: int, prefix: str, is_known: Callable[[str], bool]
) -> ParsedCommand | None:
    """The first command in `text[start:end]`; what stands outside of it does not matter.

    A bare name has to be known and to end like a word. With parentheses every name is a command,
    so that a mistyped one can be told.
    """
    seen: set[tuple[int, int]] = set()
    at = text.find(prefix, start, end)
    while at >= 0:
        if at == start or not _is_glued(text[at - 1]):
            found = _read_command(text, at, at + len(prefix), end, is_known, seen)
            if found:
                return found
        at = text.find(prefix, at + 1, end)
    return None


def _is_glued(before: str) -> bool:
    """Whether a prefix behind this character is the middle of something else.

    Letters beyond ASCII do not count: not every language has spaces between words.
    """
    return before in _GLUE or (before.isascii() and before.isalnum())


def _read_command(
    text: str,
    start: int,
    name_start: int,
    end: int,
    is_known: Callable[[str], bool],
    seen: set[tuple[int, int]],
) -> ParsedCommand | None:
    at = name_start
    limit = min(end, name_start + MAX_NAME + 1)
    while at < limit and (text[at].isalnum() or text[at] in "-_"):
        at += 1
    if not 0 < at - name_start <= MAX_NAME:
        return None
    name = text[name_start:at].lower()
    if not text.startswith("(", at, end):
        is_text = not is_known(name) or _goes_on(text, start, name_start, at, end)
        return None if is_text else ParsedCommand(name, (), start, at)
    found = _read_arguments(text, at, end, seen)
    if not found or _is_pattern(text, start, name_start, found[1], end):
        return None
    if not is_known(name) and _IN_PATTERN.match(text, found[1], end):
        return None
    return ParsedCommand(name, tuple(found[0]), start, found[1])


def _goes_on(text: str, start: int, name_start: int, at: int, end: int) -> bool:
    """Whether what ends at `at` begins a path or a file name (`!/why.py`), or is in a pattern."""
    after = text[at : min(at + 2, end)]
    is_name = after.startswith(("/", "\\")) or (after.startswith(".") and after[1:].isalnum())
    return is_name or _is_pattern(text, start, name_start, at, end)


def _is_pattern(text: str, start: int, name_start: int, at: int, end: int) -> bool:
    """Whether the word goes on to a slash that does not belong to another command's prefix."""
    rest = _END_OF_PATTERN.match(text, at, end)
    return rest is not None and text[start:name_start] not in rest[0]


def _read_arguments(
    text: str, opening: int, end: int, seen: set[tuple[int, int]]
) -> tuple[list[Argument], int] | None:
    """The arguments from the opening parenthesis on and where they end; None if never closed.

    `seen` has the marks, each with the number of open parentheses, that earlier attempts in this
    text came by. They all led nowhere, so whoever meets one of them again can give up.
    """
    found: list[Argument] = []
    begin, equals, depth = opening + 1, -1, 0
    for at in _marks(text, opening, end):
        depth += _STEPS[text[at]]
        if depth == 0 or (depth == 1 and text[at] == ","):
            found += _read_argument(text, begin, equals, at)
            begin, equals = at + 1, -1
        elif depth == 1 and text[at] == "=" and equals < 0:
            equals = at
        if depth == 0:
            return found, at + 1
        if depth > MAX_DEPTH or (at, depth) in seen:
            return None
        seen.add((at, depth))
    return None


def _marks(text: str, at: int, end: int) -> Iterator[int]:
    """Where parentheses, commas and equals signs stand outside of quotes.

    A quote opens where a value may begin and nowhere else, so an apostrophe needs no care. One that
    is never closed ends the marks.
    """
    may_begin = False
    while at < end:
        quote = may_begin and next((each for each in QUOTES if text.startswith(each, at, end)), "")
        if quote:
            closing = text.find(quote, at + len(quote), end)
            if closing < 0:
                return
            at = closing + len(quote)
            may_begin = False
            continue
        if text[at] in _STEPS:
            yield at
        may_begin = text[at] in _BEFORE_VALUE or (may_begin and text[at].isspace())
        at += 1


def _read_argument(text: str, begin: int, equals: int, end: int) -> Iterator[Argument]:
    """One argument, or none where nothing stands between two commas."""
    if equals >= 0:
        yield Argument(_unquoted(text[begin:equals]), _unquoted(text[equals + 1 : end]))
    elif word := text[begin:end].strip():
        yield Argument(_unquoted(word))


def _unquoted(piece: str) -> str:
    """Without the space around it, and without quotes if they enclose all of it."""
    piece = piece.strip()
    for quote in QUOTES:
        inner = piece[len(quote) : -len(quote)]
        if piece == f"{quote}{inner}{quote}" and quote not in inner:
            return inner
    return piece

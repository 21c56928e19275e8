"""Finds commands in text: `PREFIX name` and `PREFIX name(arguments)`, with their exact spans.

It edits nothing and raises no errors: everything that is not a whole command is ordinary text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# opencode and Kilo put a backslash before each quote of an argument on their command line.
QUOTES = ('"', "'", '\\"')
MAX_NAME = 64
MAX_ARGUMENTS = 4096
"""Characters between the parentheses of a command."""
MAX_WASTE = 1_000_000
"""Characters of one request that may look like commands and be none; then the search ends."""

_STEPS = {"(": 1, ")": -1, ",": 0, "=": 0}
_MARK = re.compile(r"[(),=]")
_OPENING_QUOTE = re.compile(rf"\s*+({'|'.join(map(re.escape, QUOTES))})")
# In front of a prefix, these belong to a path or a URL: `/usr#!/bin`, `https://host/#!/status`.
_GLUE = "_#/\\"
# After a command, these belong to a negated regular expression: `!/error(s)?/.test(line)`.
# Bounded, so that the search takes linear time. The second is for unknown names.
_END_OF_PATTERN = re.compile(r"[^\s,;:'\"!`<]{0,64}/")
_IN_PATTERN = re.compile(
    r"[?*+{|$]|[^\n]{0,200}?/[dgimsuvy]{0,4}[ \t]*(?:[.),;&|{?]|$)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Argument:
    """`key=value`, or a word, which is a key without a value. Without enclosing quotes."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command in `text[start:end]`."""

    name: str
    """In lower case."""
    arguments: tuple[Argument, ...]
    start: int
    end: int


class Scanner:
    """Finds the commands in the texts of one request.

    `is_known` tells the names of commands. A bare name must be known and end like a word. With
    parentheses every name is a command, so that a mistyped one gets an error.
    """

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._waste = 0

    def find(self, text: str, start: int, end: int, prefix: str) -> ParsedCommand | None:
        """The first command in `text[start:end]`; the text around does not matter."""
        at = text.find(prefix, start, end)
        while at >= 0 and self._waste < MAX_WASTE:
            is_glued = at > start and _is_glued(text[at - 1])
            if not is_glued and (found := self._read(text, at, at + len(prefix), end)):
                return found
            self._waste += len(prefix)
            at = text.find(prefix, at + 1, end)
        return None

    def _read(self, text: str, start: int, name_start: int, end: int) -> ParsedCommand | None:
        at = name_start
        limit = min(end, name_start + MAX_NAME + 1)
        while at < limit and (text[at].isalnum() or text[at] in "-_"):
            at += 1
        self._waste += at - name_start
        if not 0 < at - name_start <= MAX_NAME:
            return None
        name = text[name_start:at].lower()
        is_known = self._is_known(name)
        if not text.startswith("(", at, end):
            is_text = not is_known or _continues(text, start, name_start, at, end)
            return None if is_text else ParsedCommand(name, (), start, at)
        end_of_list = min(end, at + MAX_ARGUMENTS + 2)
        found = _read_arguments(text, at, end_of_list)
        if not found or _is_pattern(text, start, name_start, found[1], end):
            self._waste += end_of_list - at
            return None
        if not is_known and _IN_PATTERN.match(text, found[1], end):
            self._waste += end_of_list - at
            return None
        return ParsedCommand(name, tuple(found[0]), start, found[1])


def _is_glued(before: str) -> bool:
    """Whether a prefix after this character is in the middle of something else.

    Letters beyond ASCII do not count: some languages have no spaces between words.
    """
    return before in _GLUE or (before.isascii() and before.isalnum())


def _continues(text: str, start: int, name_start: int, at: int, end: int) -> bool:
    """Whether a path, a file name (`!/why.py`) or a pattern continues at the end of the name."""
    after = text[at : min(at + 2, end)]
    is_name = after.startswith(("/", "\\")) or (after.startswith(".") and after[1:].isalnum())
    return is_name or _is_pattern(text, start, name_start, at, end)


def _is_pattern(text: str, start: int, name_start: int, at: int, end: int) -> bool:
    """Whether the word continues to a slash that is not in the prefix of another command."""
    rest = _END_OF_PATTERN.match(text, at, end)
    return rest is not None and text[start:name_start] not in rest[0]


def _read_arguments(text: str, opening: int, end: int) -> tuple[list[Argument], int] | None:
    """The arguments after the opening parenthesis, and their end; None if it is not closed."""
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
    return None


def _marks(text: str, at: int, end: int) -> Iterator[int]:
    """The indexes of parentheses, commas and equals signs outside of quotes.

    A quote opens only where a value may begin, so an apostrophe is an ordinary character. A quote
    that is not closed ends the marks.
    """
    while mark := _MARK.search(text, at, end):
        yield mark.start()
        at = mark.end()
        if mark[0] != ")" and (quote := _OPENING_QUOTE.match(text, at, end)):
            closing = text.find(quote[1], quote.end(), end)
            if closing < 0:
                return
            at = closing + len(quote[1])


def _read_argument(text: str, begin: int, equals: int, end: int) -> Iterator[Argument]:
    """One argument, or none for an empty text between two commas."""
    if equals >= 0:
        yield Argument(_unquoted(text[begin:equals]), _unquoted(text[equals + 1 : end]))
    elif word := text[begin:end].strip():
        yield Argument(_unquoted(word))


def _unquoted(text: str) -> str:
    """The text without outer space, and without quotes that enclose all of it."""
    text = text.strip()
    for quote in QUOTES:
        inner = text[len(quote) : -len(quote)]
        if text == f"{quote}{inner}{quote}" and quote not in inner:
            return inner
    return text

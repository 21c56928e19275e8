"""Renders a conversation as plain text."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from addon.inspect.views.conversation import (
    INSTRUCTIONS,
    USER,
    Block,
    Conversation,
    Kind,
    Message,
    Tool,
)
from addon.inspect.views.json_text import clipped, fields

WIDTH = 70
MAX_LINE = 120
MAX_CHARACTERS = 1_000_000

NEAR_TOP = 200
"""mitmweb shows 512 lines at first. After more than this many lines, the newest turn moves to the
top."""


class FoldLimits(NamedTuple):
    """How much of a text is shown."""

    lines: int
    """A text with more lines or characters is folded ..."""
    first: int
    """... to this many lines at its start ..."""
    last: int
    """... and this many at its end."""
    characters: int


FOLDED = FoldLimits(lines=30, first=20, last=5, characters=6_000)
FULL = FoldLimits(lines=50_000, first=30_000, last=10_000, characters=400_000)

Fold = Callable[[str], str]


def to_text(conversation: Conversation, where_all: str) -> str:
    """`where_all` tells readers where to find the omitted text."""
    shown: list[str] = []
    rest = MAX_CHARACTERS
    for section in filter(None, _sections(conversation, where_all)):
        shown.append(section[:rest])
        rest -= len(section)
        if rest < 0:
            shown.append(f"… more than fits here ({where_all})")
            break
    return "\n\n".join(shown) or "(empty)"


def _sections(conversation: Conversation, where_all: str) -> Iterator[str]:
    briefly, fully = (partial(_folded, limits, where_all) for limits in (FOLDED, FULL))
    newest = _newest_turn(conversation.messages)
    earlier, turn = conversation.messages[:newest], conversation.messages[newest:]
    is_far = _is_long(_message(message, briefly) for message in earlier)
    yield fields(conversation.parameters)
    if not is_far:
        yield from (_message(message, briefly) for message in earlier)
    for message in turn:
        yield _message(message, briefly if message.role in INSTRUCTIONS else fully)
    if is_far:
        yield _head("earlier", f"{len(earlier):,} messages", "═")
        yield from (_message(message, briefly) for message in earlier)
    if conversation.tools:
        yield _tools(conversation.tools, briefly)


def _is_long(sections: Iterable[str]) -> bool:
    return any(lines > NEAR_TOP for lines in itertools.accumulate(map(_lines, sections)))


def _newest_turn(messages: Sequence[Message]) -> int:
    """Its index. Agents send context for the human's words as separate messages before them."""
    start = max(
        (index for index, message in enumerate(messages) if message.role == USER), default=0
    )
    while start and messages[start - 1].role == USER:
        start -= 1
    return start


def _message(message: Message, fold: Fold) -> str:
    blocks = (WRITERS[block.kind](block, fold).rstrip("\n") for block in message.blocks)
    return f"{_head(message.role, message.note)}\n{'\n\n'.join(blocks) or '(empty)'}"


def _head(title: str, note: str, line: str = "─") -> str:
    words = f"{title} · {note}" if note else title
    return f"{line}{line} {clipped(words, MAX_LINE)} ".ljust(WIDTH, line)


def _tools(tools: Sequence[Tool], fold: Fold) -> str:
    lines = (f"{name}: {about}" if about else name for name, about in tools)
    text = "\n".join(clipped(line, MAX_LINE) for line in lines)
    return f"{_head('tools', f'{len(tools):,}')}\n{fold(text)}"


def _call(block: Block, fold: Fold) -> str:
    note = f" ({block.note})" if block.note else ""
    return f"→ {block.title}{note}\n{fold(block.text)}"


def _thinking(block: Block, fold: Fold) -> str:
    """The first line only: reasoning is long and rarely what readers look for."""
    text = block.text.strip("\n")
    first = text.partition("\n")[0][:MAX_LINE]
    hidden = text[len(first) :]
    return f"thinking: {first}" + (f" (… {_amount(hidden)})" if hidden else "")


def _media(block: Block, fold: Fold) -> str:
    size = f"{block.size:,} bytes" if block.size else ""
    named = " ".join(filter(None, (block.kind, block.title, block.text)))
    return f"[{', '.join(filter(None, (named, size)))}]"


def _text(block: Block, fold: Fold) -> str:
    return fold(block.text)


WRITERS: Mapping[Kind, Callable[[Block, Fold], str]] = {
    "text": _text,
    "thinking": _thinking,
    "refusal": lambda block, fold: f"refusal: {fold(block.text)}",
    "call": _call,
    "image": _media,
    "audio": _media,
    "video": _media,
    "file": _media,
    "signed": lambda block, fold: "(signed)",
    "other": _text,
}


def _folded(limits: FoldLimits, where_all: str, text: str) -> str:
    if _lines(text) <= limits.lines and len(text) <= limits.characters:
        return text
    first = "\n".join(text.split("\n", limits.first)[: limits.first])[: limits.characters * 3 // 4]
    last = "\n".join(text.rsplit("\n", limits.last)[-limits.last :])[-(limits.characters // 4) :]
    hidden = text[len(first) : len(text) - len(last)]
    return f"{first}\n… {_amount(hidden)} ({where_all})\n{last}"


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _amount(text: str) -> str:
    """The amount of omitted text."""
    text = text.strip("\n")
    if "\n" not in text:
        return f"{len(text):,} more characters"
    return f"{_lines(text):,} more lines, {len(text):,} characters"

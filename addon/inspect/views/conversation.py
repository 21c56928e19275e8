"""A request or an answer as people read it, in one form for all wires."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

Kind = Literal[
    "text", "thinking", "refusal", "call", "image", "audio", "video", "file", "signed", "other"
]

USER, ASSISTANT, TOOL, ERROR = "user", "assistant", "tool", "error"
INSTRUCTIONS = frozenset({"system", "developer"})

_GROWING: frozenset[Kind] = frozenset({"text", "thinking", "refusal", "audio"})


class Block(NamedTuple):
    """A piece of a message.

    Of a call `title` is its name, `note` its id, `text` its arguments. Of a medium `title` is its
    name and type, `text` its address; `size` counts the bytes of one that is inside the message.
    """

    kind: Kind
    text: str = ""
    title: str = ""
    note: str = ""
    size: int = 0


class Message(NamedTuple):
    """What one role says; `note` goes beside the role: a finish reason, whose result it is.

    An error and what a stream lacks are told as messages, too.
    """

    role: str
    blocks: Sequence[Block]
    note: str = ""


class Tool(NamedTuple):
    name: str
    description: str = ""


class Conversation(NamedTuple):
    """`parameters` are the rest of the request, or of an answer's head."""

    messages: Sequence[Message]
    parameters: Mapping[str, object] = {}
    tools: Sequence[Tool] = ()


def joined(blocks: Iterable[Block]) -> list[Block]:
    """The pieces of a streamed answer put together."""
    result: list[Block] = []
    for (kind, title), group in itertools.groupby(blocks, lambda each: (each.kind, each.title)):
        pieces = list(group)
        if kind in _GROWING:
            text, size = "".join(each.text for each in pieces), sum(each.size for each in pieces)
            pieces = [Block(kind, text, title, size=size)]
        result += pieces
    return result


def text_message(role: str, text: str) -> Message:
    """A message of one text."""
    return Message(role, [Block("text", text)])

"""The readable form of a request or response, the same for all APIs."""

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
    """A part of a message."""

    kind: Kind
    text: str = ""
    """The text, the arguments of a call, or the address of a medium."""
    title: str = ""
    """The name of a call, or the name and type of a medium."""
    note: str = ""
    """The id of a call."""
    size: int = 0
    """Bytes of a medium that the message contains."""


class Message(NamedTuple):
    """The blocks of one role. Errors and missing ends of streams are messages too."""

    role: str
    blocks: Sequence[Block]
    note: str = ""
    """Shown beside the role: a finish reason, or the call that a result belongs to."""


class Tool(NamedTuple):
    name: str
    description: str = ""


class Conversation(NamedTuple):
    messages: Sequence[Message]
    parameters: Mapping[str, object] = {}
    """The other fields of the request, or of the response's head."""
    tools: Sequence[Tool] = ()


def joined(blocks: Iterable[Block]) -> list[Block]:
    """Join the adjacent text pieces of a streamed response."""
    result: list[Block] = []
    for (kind, title), group in itertools.groupby(blocks, lambda each: (each.kind, each.title)):
        pieces = list(group)
        if kind in _GROWING:
            text, size = "".join(each.text for each in pieces), sum(each.size for each in pieces)
            pieces = [Block(kind, text, title, size=size)]
        result += pieces
    return result


def text_message(role: str, text: str) -> Message:
    """A message with a single text block."""
    return Message(role, [Block("text", text)])

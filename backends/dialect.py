"""What the addon needs of a client's wire: the seam behind which requests and answers are read.

The form inside is OpenAI's chat: a request is a `Chat`, an answer a completion or a stream of
chunks. So the chat dialect is the identity, on bytes where it can be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from backends import jsonio, openai_wire, sse
from backends.errors import ApiError
from backends.openai_wire import DONE, Chat

KEEP_ALIVE = sse.comment("keep-alive")


class Encoder(Protocol):
    """One streamed answer on its way to the client: a chat's chunks in, the dialect's events out.

    `done` or `error` comes last, and only one of them. `is_identity`: chunks may go round it.
    """

    is_identity: bool

    def chunk(self, raw: bytes) -> bytes:
        """For one block of a chat's stream, a chunk or a comment; often nothing."""
        ...

    def done(self) -> bytes: ...

    def error(self, error: ApiError) -> bytes: ...

    def keep_alive(self) -> bytes:
        """For a client that has been waiting for long."""
        ...


class Asked(Protocol):
    """A client's request, read.

    `body` is the client's own text of `chat`, None if its dialect is another. `warnings` tell what
    of the request was left out, each as `<parameter>=<reason>`.
    """

    @property
    def chat(self) -> Chat: ...

    @property
    def body(self) -> bytes | None: ...

    @property
    def warnings(self) -> Sequence[str]: ...

    def whole(self, completion: dict[str, Any]) -> dict[str, Any]:
        """A whole answer as the dialect has it; ApiError if it tells of a failure."""
        ...

    def encoder(self) -> Encoder: ...


Reader = Callable[[bytes], Asked]
"""Reads a request's body; ApiError 400 with `param` if it cannot be served."""


def read_chat(body: bytes) -> "ChatAsked":
    """A `Reader`: the form inside is the client's own."""
    return ChatAsked(openai_wire.read_chat(body), body)


@dataclass(frozen=True, slots=True)
class ChatAsked:
    """A chat request: everything passes as it is."""

    chat: Chat
    body: bytes

    warnings = ()

    def whole(self, completion: dict[str, Any]) -> dict[str, Any]:
        return completion

    def encoder(self) -> "ChatEncoder":
        return ChatEncoder()


class ChatEncoder:
    """A chat's stream as it is."""

    is_identity = True

    def chunk(self, raw: bytes) -> bytes:
        return raw

    def done(self) -> bytes:
        return DONE

    def error(self, error: ApiError) -> bytes:
        return openai_wire.error_event(error)

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE


def rewrite(block: bytes, of: Callable[[dict[str, Any]], bytes]) -> bytes:
    """A block of a chat's stream in another dialect: a chunk is what `of` makes of it.

    Comments stay, anything else is left out.
    """
    data = sse.data_of(block)
    if data is None:
        return block
    try:
        chunk = jsonio.decode(data)
    except ValueError:
        return b""
    return of(chunk) if isinstance(chunk, dict) else b""

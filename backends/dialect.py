"""The interface that a dialect implements: one client protocol's requests and responses.

The internal form is OpenAI's chat: a request is a `Chat`, a response a completion or a stream of
chunks. So the chat dialect is the identity, on bytes where possible.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from backends.errors import ApiError
from backends.openai_wire import Chat


class Encoder(Protocol):
    """Turns the chunks of one streamed response into the dialect's events.

    The last call is either `done` or `error`.
    """

    is_identity: bool
    """Whether `chunk` returns its argument, so that callers may skip it."""

    def chunk(self, raw: bytes) -> bytes:
        """The events for one block of the chat's stream, a chunk or a comment; often empty."""
        ...

    def done(self) -> bytes: ...

    def error(self, error: ApiError) -> bytes: ...

    def keep_alive(self) -> bytes:
        """Bytes that stop a waiting client from timing out."""
        ...


class ClientRequest(Protocol):
    """A client's parsed request."""

    @property
    def chat(self) -> Chat: ...

    @property
    def body(self) -> bytes | None:
        """`chat` as the client wrote it; None if the client speaks another dialect."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """The parameters that were dropped, each as `<parameter>=<reason>`."""
        ...

    @property
    def typed_from(self) -> int | None:
        """Index of the first message that may be new to the model, where roles do not show it.

        None if nobody types into such a request.
        """
        ...

    def render(self, completion: dict[str, Any]) -> dict[str, Any]:
        """A completion in the dialect's form. Raises ApiError if it reports a failure."""
        ...

    def encoder(self) -> Encoder: ...


Reader = Callable[[bytes], ClientRequest]
"""Parses a request's body. Raises ApiError (400) with `param` if it cannot be served."""

"""What the addon needs of a client's wire: the seam behind which requests and answers are read.

The form inside is OpenAI's chat: a request is a `Chat`, an answer a completion or a stream of
chunks. So the chat dialect is the identity, on bytes where it can be.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from backends.errors import ApiError
from backends.openai_wire import Chat


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


class ClientRequest(Protocol):
    """A client's request, read.

    `body` is the client's own text of `chat`, None if its dialect is another. `warnings` tell what
    of the request was left out, each as `<parameter>=<reason>`. `typed_from` is the index of the
    first message that may be new to the model, as far as roles do not tell; None if nobody types
    into such a request.
    """

    @property
    def chat(self) -> Chat: ...

    @property
    def body(self) -> bytes | None: ...

    @property
    def warnings(self) -> Sequence[str]: ...

    @property
    def typed_from(self) -> int | None: ...

    def render(self, completion: dict[str, Any]) -> dict[str, Any]:
        """A whole answer as the dialect has it; ApiError if it tells of a failure."""
        ...

    def encoder(self) -> Encoder: ...


Reader = Callable[[bytes], ClientRequest]
"""Reads a request's body; ApiError 400 with `param` if it cannot be served."""

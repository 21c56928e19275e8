"""The interface that a backend implements: one vendor's requests, responses and model list."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from backends.errors import ApiError
from backends.keys import Key
from backends.openai_wire import Chat
from backends.stream import Decoder

Headers = list[tuple[str, str]]
"""Names are in lower case and may repeat. Order counts."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request to a vendor, complete except for its credential."""

    method: str
    url: str
    headers: Headers
    body: bytes = b""
    credential: tuple[str, str] | None = field(default=None, repr=False)
    """A header. It is added on the wire only, so no view, log or saved flow can contain it."""

    def all_headers(self) -> Headers:
        """The headers and the credential."""
        return [*self.headers, self.credential] if self.credential else self.headers


class ModelRequest(NamedTuple):
    """A client's request, as a backend receives it."""

    chat: Chat
    """Has the client's `model`."""
    body: bytes | None
    """`chat` as the client wrote it, to forward unchanged. None if the proxy changed `chat`."""
    model: str | None
    """The vendor's name of the model; None if the client named none."""
    headers: Headers
    """The client's, without credentials."""
    session: str
    """Identifies the client's conversation."""
    project: str | None = None
    """The user's name for the work."""


class UpstreamCall(Protocol):
    """A request to a vendor, with readers for its response."""

    @property
    def request(self) -> UpstreamRequest: ...

    @property
    def warnings(self) -> Sequence[str]:
        """The parameters that were dropped, each as `<parameter>=<reason>`."""
        ...

    @property
    def speaks_openai(self) -> bool:
        """Whether a complete response has OpenAI's shape and passes unchanged."""
        ...

    def read_response(self, body: bytes) -> dict[str, Any]:
        """The completion or embeddings in a complete response of status 200. Raises ApiError."""
        ...

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        """The error in a response of another status."""
        ...


class ChatCall(UpstreamCall, Protocol):
    """A chat request to a vendor. Its response may be a stream."""

    def decoder(self) -> Decoder: ...

    def retry_for(self, error: ApiError) -> "ChatCall | None":
        """A modified retry of this call, or None if no workaround for the error is known."""
        ...


class Backend(Protocol):
    """One vendor."""

    @property
    def title(self) -> str:
        """The vendor's name, for people."""
        ...

    def prepare(self, request: ModelRequest, key: Key) -> ChatCall:
        """Translate a chat request. Raises ApiError (400) if the vendor has no equivalent."""
        ...

    def embed(self, request: ModelRequest, key: Key) -> UpstreamCall:
        """Translate an embeddings request, which is then in `request.chat`."""
        ...

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        """The request for a page of the model list. `page` is a token from `read_models`."""
        ...

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        """Models in OpenAI's shape, ids without the backend's prefix, and the next page's token.

        Raises ValueError if the body is not a model list.
        """
        ...

"""What the addon needs of a backend: the seam behind which each vendor's wire lives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from backends.errors import ApiError
from backends.keys import Key
from backends.openai_wire import Chat
from backends.stream import Decoder

Headers = list[tuple[str, str]]
"""Header names in lower case, in order; a name may occur twice."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request ready to be sent, but for its credential.

    The credential is apart from the other headers so that it can be added on the wire only, and
    never gets into a view, a log or a saved flow.
    """

    method: str
    url: str
    headers: Headers
    body: bytes = b""
    credential: tuple[str, str] | None = field(default=None, repr=False)

    def all_headers(self) -> Headers:
        """The headers and the credential."""
        return [*self.headers, self.credential] if self.credential else self.headers


class ModelRequest(NamedTuple):
    """What the client asked, as a backend needs it.

    `chat` has its original `model`. `body` is the client's own text of it, to be sent on as it
    stands if the backend has nothing to change; None if the proxy has changed `chat`. `model` is
    the vendor's name for the model, None if the client named none. `headers` are the client's,
    without credentials. `session` tells one client's conversation from another's. `project` is
    what the human named the work.
    """

    chat: Chat
    body: bytes | None
    model: str | None
    headers: Headers
    session: str
    project: str | None = None


class UpstreamCall(Protocol):
    """One request to a vendor, and how to read whatever answers it.

    `warnings` tell what of the client's request was left out, each as `<parameter>=<reason>`.
    `speaks_openai`: a whole answer has OpenAI's shape, and passes as it came.
    """

    @property
    def request(self) -> UpstreamRequest: ...

    @property
    def warnings(self) -> Sequence[str]: ...

    @property
    def speaks_openai(self) -> bool: ...

    def read_response(self, body: bytes) -> dict[str, Any]:
        """The result in a whole answer of status 200; ApiError if it is none."""
        ...

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        """The error in an answer of a status other than 200."""
        ...


class ChatCall(UpstreamCall, Protocol):
    """A prompt put to a vendor."""

    def decoder(self) -> Decoder:
        """For a streamed answer."""
        ...

    def amend(self, error: ApiError) -> "ChatCall | None":
        """The same prompt put in another way, if that may help against this error."""
        ...


class Backend(Protocol):
    """One vendor: how to ask it, and what it offers."""

    @property
    def title(self) -> str:
        """The vendor's name as people write it."""
        ...

    def prepare(self, request: ModelRequest, key: Key) -> ChatCall:
        """Put a prompt into the vendor's form; ApiError 400 if that cannot be done."""
        ...

    def embed(self, request: ModelRequest, key: Key) -> UpstreamCall:
        """The same for an embeddings request, which `request.chat` then is."""
        ...

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        """Ask for (the next page of) the models on offer; `page` is a token of `read_models`."""
        ...

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        """Models in OpenAI's shape, ids without the backend's prefix, and the next page's token.

        ValueError if the body is no such list.
        """
        ...

"""The upstreams there are keys for, and a backend's request put into the flow."""

import copy
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from mitmproxy import http

from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import BackendName
from backends.protocol import Backend, UpstreamRequest


class Upstreams:
    """All backends, and the keys of those that have some.

    `is_recorded`: their answers are what this proxy gave to its clients, its own notes included.
    """

    def __init__(
        self,
        backends: Mapping[BackendName, Backend],
        keys: Mapping[BackendName, Sequence[Key]],
        *,
        is_recorded: bool = False,
    ) -> None:
        self.backends = backends
        self.keys = keys
        self.is_recorded = is_recorded

    def check(self, name: BackendName) -> None:
        """ApiError that tells what to set if there is no key for a backend."""
        if name not in self.keys:
            raise ApiError(
                400,
                f"No API key for {self.backends[name].title}: set {name.upper()}_API_KEY in the "
                "proxy's environment or .env, or try the proxy with --demo",
                param="model",
                code="no_api_key",
            )

    def sources(self) -> dict[BackendName, tuple[Backend, Key]]:
        """Every backend that can be asked, with its first key."""
        return {name: (self.backends[name], keys[0]) for name, keys in self.keys.items()}

    def addresses(self) -> frozenset[tuple[str, int]]:
        """The (host, port) of every upstream that can be asked."""
        requests = (backend.models_request(key, None) for backend, key in self.sources().values())
        return frozenset(address_of(request.url) for request in requests)


def address_of(url: str) -> tuple[str, int]:
    """The (host, port) that a URL leads to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def put_into(flow: http.HTTPFlow, request: UpstreamRequest, key_name: str) -> None:
    """Make `flow.request` the upstream's: nothing of the client's request is left but its version.

    In the place of the credential the record shows the key's name; the value is added on the wire.
    """
    parts = urlsplit(request.url)
    netloc = parts.netloc.rpartition("@")[2].encode()
    fields = [
        (name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in request.headers
    ]
    # A coded stream could not be cut into events, and a client may not know the upstream's coding.
    fields.append((b"accept-encoding", b"identity"))
    fields.append((b"content-length", b"%d" % len(request.body)))
    if request.credential:
        fields.append((request.credential[0].encode(), f"({key_name})".encode()))
    # Past the setters, each of which checks and reconciles what is all replaced here.
    data = flow.request.data
    is_http1 = data.http_version.startswith(b"HTTP/1")
    data.authority = b"" if is_http1 else netloc
    data.headers = http.Headers([(b"Host", netloc), *fields] if is_http1 else fields)
    data.trailers = None
    data.method = request.method.encode()
    data.scheme = parts.scheme.encode()
    data.host, data.port = address_of(request.url)
    data.path = (f"{parts.path}?{parts.query}" if parts.query else parts.path).encode()
    data.content = request.body


def on_wire(
    request: http.Request, credential: tuple[str, str] | None, *, is_http2: bool
) -> http.Request:
    """The head of a request as it goes on the wire: a copy, so that nothing keeps the secret."""
    fields = request.headers.fields
    if credential:
        name, value = credential[0].encode(), credential[1].encode("utf-8", "surrogateescape")
        fields = (*(field for field in fields if field[0] != name), (name, value))
    head = copy.copy(request.data)
    head.content = None
    if request.is_http2 and not is_http2:
        # mitmproxy would do the same, but close the connection after the answer.
        head.http_version = b"HTTP/1.1"
        fields = ((b"Host", head.authority), *fields)
        head.authority = b""
    head.headers = http.Headers(fields)
    sent = copy.copy(request)
    sent.data = head
    return sent

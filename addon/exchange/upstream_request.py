"""A backend's request put into a flow, and its head as it goes on the wire."""

import copy
from urllib.parse import urlsplit

from mitmproxy import http

from backends.backend import UpstreamRequest
from backends.vendors.registry import address_of


def set_upstream_request(flow: http.HTTPFlow, request: UpstreamRequest, key_name: str) -> None:
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


def with_credential(
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

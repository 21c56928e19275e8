"""Puts a backend's request into a flow, and the credential onto the head that is sent.

The credential belongs to the destination of the backend's request. Other addons and people can
change a flow or its connection, so both are compared with the backend's request before it is sent.
"""

import copy
from urllib.parse import urlsplit

from mitmproxy import http
from mitmproxy.connection import Server

from backends.backend import UpstreamRequest
from backends.vendors.registry import address_of


def set_upstream_request(flow: http.HTTPFlow, request: UpstreamRequest, key_name: str) -> None:
    """Replace all of `flow.request` but the HTTP version.

    The credential's header shows the key's name; `with_credential` adds the value when it is sent.
    """
    parts = urlsplit(request.url)
    netloc = _netloc(request.url).encode()
    fields = [
        (name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in request.headers
    ]
    # An encoded stream cannot be split into events, and the client may not accept the encoding.
    fields.append((b"accept-encoding", b"identity"))
    fields.append((b"content-length", b"%d" % len(request.body)))
    if request.credential:
        fields.append((request.credential[0].encode(), f"({key_name})".encode()))
    # The setters would check and reconcile each value, but all are replaced.
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


def is_bound(flow: http.HTTPFlow, request: UpstreamRequest) -> bool:
    """Whether the flow's request still has the destination of the backend's request."""
    parts = urlsplit(request.url)
    changed = flow.request
    return (
        changed.scheme == parts.scheme
        and (changed.host, changed.port) == address_of(request.url)
        and changed.host_header == _netloc(request.url)
    )


def leads_to(server: Server, request: UpstreamRequest) -> bool:
    """Whether a connection leads to the destination of the backend's request."""
    host, port = address_of(request.url)
    is_tls = urlsplit(request.url).scheme == "https"
    return (
        server.address is not None
        and server.address[:2] == (host, port)
        and server.tls is is_tls
        and (not is_tls or server.sni == host)
    )


def _netloc(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def with_credential(
    request: http.Request, credential: tuple[str, str] | None, *, is_http2: bool
) -> http.Request:
    """A copy of a request's head with the credential, so that the flow never holds it."""
    fields = request.headers.fields
    if credential:
        name, value = credential[0].encode(), credential[1].encode("utf-8", "surrogateescape")
        fields = (*(field for field in fields if field[0] != name), (name, value))
    head = copy.copy(request.data)
    head.content = None
    if request.is_http2 and not is_http2:
        # mitmproxy would do the same, but close the connection after the response.
        head.http_version = b"HTTP/1.1"
        fields = ((b"Host", head.authority), *fields)
        head.authority = b""
    head.headers = http.Headers(fields)
    sent = copy.copy(request)
    sent.data = head
    return sent

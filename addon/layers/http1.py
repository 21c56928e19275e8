"""Reads HTTP/1.1 more strictly than mitmproxy, from clients and from upstreams.

On a connection that serves several requests, mitmproxy takes an interim response for the final
one, stops at an empty line, fails on trailers, and does not bound a head.
"""

import re
from abc import abstractmethod

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpClient
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http1 import (
    Http1Client,
    Http1Connection,
    Http1Server,
    make_body_reader,
)
from mitmproxy.utils import human

from addon.exchange.http_responses import ResponseBuilder
from backends.errors import ApiError, bad_request

MAX_HEAD_BYTES = 65536

# RFC 9110 15: three digits, of which the first is the class.
_STATUS = re.compile(rb"\S+\s+([1-5]\d\d)(?!\S)")

MAX_QUOTED = 200
"""Characters of a peer's text in an error message."""

Commands = layer.CommandGenerator[None]


class Malformed(Exception):
    """The peer violates HTTP/1.1 or a limit."""

    def __init__(self, fault: object) -> None:
        super().__init__(str(fault)[:MAX_QUOTED])  # it may quote what the peer sent


class _Chunks(ChunkedReader):
    """Drops trailers, which a recipient may do (RFC 9110 6.5.1) and mitmproxy cannot pass on."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        try:
            event = super().__call__(buf)
        except h11.ProtocolError as fault:
            raise Malformed(fault) from None
        if event is None and len(buf) > MAX_HEAD_BYTES:  # a chunk's size, or trailers
            raise Malformed(f"a line of more than {MAX_HEAD_BYTES} bytes in a chunked body")
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


class _StrictHttp1(Http1Connection):
    """What both sides share: bounded heads, and an error for each malformed message."""

    _head_bytes = 0
    """Size of the current head so far, including what was skipped before it."""

    def _handle_event(self, event: events.Event) -> Commands:
        try:
            yield from super()._handle_event(event)
        except Malformed as fault:
            self.state = self.done
            yield from self.reject(str(fault))

    @abstractmethod
    def reject(self, fault: str) -> Commands:
        """Close the connection and report the fault."""

    def _next_head(self) -> list[bytes] | None:
        """The lines of the next head; None if it is not complete.

        Empty lines before it are skipped, as RFC 9112 2.2 asks for requests.
        """
        while True:
            waiting = len(self.buf)
            lines = self.buf.maybe_extract_lines()
            if lines is not None:
                self._head_bytes += waiting - len(self.buf)
                waiting = 0
            if self._head_bytes + waiting > MAX_HEAD_BYTES:
                raise Malformed(f"the head has more than {MAX_HEAD_BYTES} bytes")
            if lines is None:
                return None
            if lines:
                return [bytes(line) for line in lines]

    def _start_body(self, body_size: int | None, event: events.Event) -> Commands:
        """Read the body. Its size is that of `http1.expected_http_body_size`."""
        self._head_bytes = 0
        self.body_reader = _Chunks() if body_size is None else make_body_reader(body_size)
        self.state = self.read_body
        yield from self.state(event)


class UpstreamHttp1(_StrictHttp1, Http1Client):
    """Skips interim responses, and closes the connection on anything malformed."""

    def reject(self, fault: str) -> Commands:
        yield commands.CloseConnection(self.conn)
        if self.stream_id is not None:
            message = f"Cannot parse HTTP response: {fault}"
            code = ErrorCode.GENERIC_SERVER_ERROR
            yield ReceiveHttp(ResponseProtocolError(self.stream_id, message, code))

    def send(self, event: HttpEvent) -> Commands:
        if not isinstance(event, RequestTrailers):  # from an HTTP/2 client
            yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        if not isinstance(event, events.DataReceived):
            if self.buf:
                raise Malformed(f"it ended within its head: {bytes(self.buf)!r}")
            yield from super().read_headers(event)
            return
        if self.request is None or self.stream_id is None:
            raise Malformed("there was no request")
        try:
            response = self._final_response(self.request)
            if response is None:
                return
            size = http1.expected_http_body_size(self.request, response)
        except ValueError as fault:
            raise Malformed(fault) from None
        self.response = response
        yield ReceiveHttp(ResponseHeaders(self.stream_id, response, size == 0))
        yield from self._start_body(size, event)

    def _final_response(self, request: http.Request) -> http.Response | None:
        """The head of the final response; None if it has not come yet.

        Any number of interim responses may come before it (RFC 9110 15.2). 101 ends HTTP, and is
        an error without a request for an upgrade (RFC 9110 7.8).
        """
        while (lines := self._next_head()) is not None:
            status = _STATUS.match(lines[0])
            is_upgrade = status and status[1] == b"101"
            if not status or (is_upgrade and "upgrade" not in request.headers):
                raise Malformed(f"Bad HTTP response line: {lines[0]!r}")
            if is_upgrade or not status[1].startswith(b"1"):
                return http1.read_response_head(lines)
        return None


class ClientHttp1(_StrictHttp1, Http1Server):
    """Rejects malformed requests with a 400 in OpenAI's shape."""

    def __init__(self, context: Context, responses: ResponseBuilder) -> None:
        super().__init__(context)
        self._responses = responses

    def reject(self, fault: str) -> Commands:
        yield from self.send_error(bad_request(f"Cannot parse HTTP request: {fault}"))
        if self.request:
            code = ErrorCode.GENERIC_CLIENT_ERROR
            yield ReceiveHttp(RequestProtocolError(self.stream_id, fault, code))
        else:
            yield commands.Log(f"{human.format_address(self.conn.peername)}: {fault}")

    def send_error(self, error: ApiError) -> Commands:
        """Send the error, unless a response has begun, and close the connection."""
        if self.response is None or self.response.status_code == 100:
            response = self._responses.error(error)
            response.headers["connection"] = "close"
            yield commands.SendData(self.conn, http1.assemble_response(response))
        yield commands.CloseConnection(self.conn)

    def send(self, event: HttpEvent) -> Commands:
        if not isinstance(event, ResponseTrailers):  # from an HTTP/2 upstream
            yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        if not isinstance(event, events.DataReceived):
            # mitmproxy would log the partial head, with its credentials.
            yield commands.CloseConnection(self.conn)
            return
        try:
            lines = self._next_head()
            if lines is None:
                return
            request = http1.read_request_head(lines)
            size = http1.expected_http_body_size(request)
        except ValueError as fault:
            raise Malformed(fault) from None
        self.request = request
        yield ReceiveHttp(RequestHeaders(self.stream_id, request, size == 0))
        yield from self._start_body(size, event)


def replace_client(stack: layer.Layer) -> Commands:
    """Replace the HTTP/1.1 client of an upstream connection that mitmproxy has just made."""
    leaf = stack
    while not isinstance(leaf, HttpClient):
        leaf = leaf.child_layer  # type: ignore[attr-defined]  # tunnels, TLS
    if type(leaf.child_layer) is Http1Client:
        leaf.context.layers.remove(leaf.child_layer)
        leaf.child_layer = UpstreamHttp1(leaf.context)
        leaf._handle_event = leaf.child_layer.handle_event
        yield from leaf.child_layer.handle_event(events.Start())

"""One client request and its response: mitmproxy's `HttpStream`, extended for claimed flows.

It runs attempts, applies the timeouts, and turns failures into errors in the client's dialect.
"""

import logging
import time
from collections import deque
from collections.abc import Callable

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from addon.exchange.body_stream import BodyStream
from addon.exchange.credentials import ClientCredentials
from addon.exchange.exchange import Exchange
from addon.exchange.flow_record import MAX_RESPONSE_BYTES
from addon.exchange.upstream_request import is_bound, leads_to
from addon.layers.deps import LayerDeps, Tick
from addon.layers.http1 import MAX_QUOTED
from addon.layers.stream_state import Client, IllegalMove, StreamState, Upstream
from addon.layers.upstream_layer import SERVER_EVENTS, UpstreamLayer
from backends.errors import ApiError, internal_error

logger = logging.getLogger(__name__)

Commands = layer.CommandGenerator[None]

AFTER_END_S = 1.0
"""How long an upstream may keep its body open after `[DONE]` or an error event."""


class LlmHttpStream(HttpStream):
    """One request and its response.

    For a claimed flow the head of a stream is sent with its first event. An error that comes
    before gets its HTTP status.
    """

    exchange: Exchange | None = None
    _client_credentials: ClientCredentials | None = None
    needs_new_connection = False
    """The next upstream connection must not have served another request before."""
    _head: http.Response | None = None
    """The head that the client has received; None if that was not a stream's."""
    _is_chunked = False
    """The client's body is chunked, which only HTTP/1.1 has."""
    _upstream: UpstreamLayer | None = None
    """The connection of the current attempt, once it is established."""

    def __init__(
        self,
        context: Context,
        stream_id: int,
        deps: LayerDeps,
        upstream_of: Callable[[Connection], UpstreamLayer | None],
    ) -> None:
        super().__init__(context, stream_id)
        self.deps = deps
        self._upstream_of = upstream_of
        self._state = StreamState()
        self.sent = bytearray()
        self.progress_at = time.monotonic()
        self._connecting_since = self._upstream_at = self._client_at = self.progress_at

    # Events in, commands out

    def _handle_event(self, event: events.Event) -> Commands:
        try:
            yield from self._dispatch(event)
        except IllegalMove:
            logger.exception("Internal error in a stream")
            if self._state.client is Client.ENDED or not self.exchange:
                raise  # the client has the end of its response
            yield from self._cancel_upstream()
            yield from self._send_error(internal_error())

    def _dispatch(self, event: events.Event) -> Commands:
        if isinstance(event, SERVER_EVENTS):
            if not (self.exchange and self.exchange.pipe and self.exchange.pipe.has_ended):
                self._upstream_at = time.monotonic()
            if self._state.is_listening:
                yield from super()._handle_event(event)
        elif isinstance(event, Tick):
            yield from self._on_tick(event)
        else:
            yield from super()._handle_event(event)

    # The request

    @property
    def client_credentials(self) -> ClientCredentials | None:
        """Of a flow that passes through. The response may be sent after the addon's last hook."""
        if self._client_credentials is None:
            self._client_credentials = self.deps.credentials_of(self.flow.id)
        return self._client_credentials

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        request, client = event.request, self.context.client
        if self.mode is HTTPMode.regular and request.method != "CONNECT" and not request.host:
            # Origin form: the client uses us as a server, whatever its Host header says.
            request.data.host, request.data.port = client.sockname[:2]
            request.data.scheme = b"https" if client.tls else b"http"
        yield from super().state_wait_for_request_headers(event)
        self.exchange = self.deps.exchange_of(self.flow.id)

    def state_consume_request_body(self, event: events.Event) -> Commands:
        if isinstance(event, RequestData) and self._refuses(event):
            self.request_body_buf.clear()
            return
        yield from super().state_consume_request_body(event)

    def _refuses(self, event: RequestData) -> bool:
        """Whether to drop the rest of the body, since the response is known already."""
        if self.exchange and not self.flow.response:
            size = len(self.request_body_buf) + len(event.data)
            if size > self.deps.max_body_bytes:
                self.flow.response = self.deps.responses.error(self.deps.too_large(), self.exchange)
        return self.flow.response is not None

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        self._connecting_since = time.monotonic()
        upstream = self.exchange and self.exchange.upstream
        if self.exchange and not (upstream and is_bound(self.flow, upstream.call.request)):
            yield from self._fail_diverted(f"request leads to {self.flow.request.pretty_url}")
            return False
        is_connected = yield from super().make_server_connection()
        self.needs_new_connection = False
        if not is_connected:  # another attempt may have started already
            return False
        server = self.context.server
        if upstream and not leads_to(server, upstream.call.request):
            yield from self._fail_diverted(f"connection leads to {server.address}")
            return False
        self._state.move_upstream(Upstream.WAITING)
        self._upstream = self._upstream_of(server)
        self._upstream_at = self._client_at = time.monotonic()
        return True

    def _fail_diverted(self, reason: str) -> Commands:
        """Fail the attempt, since its request would take the credential to another destination."""
        message = f"An addon or an edit diverted the request, so it was not sent: the {reason}"
        yield from self._fail(ApiError(502, message))

    # The response

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> Commands:
        yield from super().state_wait_for_response_headers(event)
        is_going_on = self.server_state == self.state_consume_response_body
        response = self.flow.response
        if self.exchange and is_going_on and response and response.raw_content is not None:
            # A hook has replaced the upstream's response.
            yield from self._cancel_upstream()
            yield from self.send_response()

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        if request or not self.exchange:
            return (yield from super().check_invalid(request))
        assert self.flow.response
        try:
            validate_headers(self.flow.response)
        except ValueError as fault:
            yield from self._fail(ApiError(502, f"The upstream's response is malformed: {fault}"))
            return True
        return False

    def start_response_stream(self) -> Commands:
        if self.exchange:
            self.server_state = self.state_stream_response_body
        else:
            yield from super().start_response_stream()

    def state_stream_response_body(self, event: HttpEvent) -> Commands:
        if not (self.exchange and self.exchange.pipe):
            yield from super().state_stream_response_body(event)
            return
        assert self.flow.response
        body = self.flow.response.stream
        assert isinstance(body, BodyStream)
        if isinstance(event, ResponseData):
            pieces = body.read(event.data)
        elif isinstance(event, ResponseEndOfMessage):
            self._state.move_upstream(Upstream.COMPLETE)
            pieces = body.read(b"")
        else:
            return  # trailers: the client's body has no place for them
        error = self.exchange.outcome.error
        if error and self._state.client is not Client.ERROR:
            if self._state.may_retry and all(map(_is_comment, pieces)):
                yield from self._fail(error)
                return
            yield from self._send([*pieces, self._error_event(error)], Client.ERROR)
        else:
            yield from self._send(pieces)
        if isinstance(event, ResponseEndOfMessage):
            yield from self._end()

    def state_consume_response_body(self, event: HttpEvent) -> Commands:
        if isinstance(event, ResponseData) and self.exchange and self.exchange.upstream:
            size = len(self.response_body_buf) + len(event.data)
            if size > self.deps.max_body_bytes:
                self.response_body_buf.clear()
                title = self.exchange.upstream.title
                yield from self._fail(self.deps.responses.too_large(title))
                return
        if not (isinstance(event, ResponseEndOfMessage) and self.exchange):
            yield from super().state_consume_response_body(event)
            return
        assert self.flow.response
        self._state.move_upstream(Upstream.COMPLETE)
        self.flow.response.data.content = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        try:
            self.flow.response = self.deps.responses.complete(self.exchange, self.flow.response)
        except ApiError as error:
            yield from self._fail(error)
            return
        if self._head:  # the client has a comment already: the response becomes its events
            yield from self._send([self.flow.response.content or b""])
            yield from self._end()
        else:
            yield from self.send_response()

    # Time

    def _on_tick(self, tick: Tick) -> Commands:
        is_waiting = self._state.upstream is Upstream.WAITING
        if not (self.exchange and self.exchange.upstream and is_waiting):
            return
        if tick.excuses_upstream:
            self._upstream_at = tick.now
        pipe = self.exchange.pipe
        silence = tick.now - self._upstream_at
        limit = self.exchange.upstream.read_timeout_s or self.deps.read_timeout_s
        if pipe and pipe.has_ended:
            if silence >= AFTER_END_S:
                yield from self._cancel_upstream()
                yield from self._end()
        elif silence >= limit:
            has_no_head = self.server_state == self.state_wait_for_response_headers
            title = self.exchange.upstream.title
            yield from self._fail(self.deps.timeout_error(title, limit, is_waiting=has_no_head))
        elif self.exchange.encoder and tick.now - self._client_at >= self.deps.keepalive_s:
            yield from self._send([self.exchange.encoder.keep_alive()], Client.HEAD)

    # Failure

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> Commands:
        upstream = self.exchange and self.exchange.upstream
        if (
            not upstream
            or isinstance(event, RequestProtocolError)
            or self.client_state == self.state_errored
            or self.server_state in (self.state_done, self.state_errored)
        ):
            yield from super().handle_protocol_error(event)
            return
        self._state.move_upstream(Upstream.NONE)
        if self._upstream and self._upstream.is_stale_for(self.stream_id):
            self.needs_new_connection = True
            yield from self._resend()
            return
        if event.code is ErrorCode.CONNECT_FAILED:
            waited = time.monotonic() - self._connecting_since
            error = self.deps.connect_error(upstream.title, event.message, waited)
        else:
            reason = event.message[:MAX_QUOTED]  # it may quote the upstream
            message = f"The connection to {upstream.title} broke: {reason}"
            error = ApiError(502, message)
        yield from self._fail(error)

    def _fail(self, error: ApiError) -> Commands:
        """End the current attempt with an error.

        Start the next attempt if the client has received nothing of a response. Else send the
        error, as a response or as an event of the stream.
        """
        assert self.exchange
        yield from self._cancel_upstream()
        if self.exchange.retry and self._state.may_retry:
            last = self.exchange.retry(self.flow, error)
            if last is None:
                yield from self._resend()
                return
            error = last
        yield from self._send_error(error)

    def _send_error(self, error: ApiError) -> Commands:
        """End the response with an error, unless it is complete."""
        assert self.exchange
        if self._head:
            pipe = self.exchange.pipe
            is_complete = pipe and pipe.has_ended and not self.exchange.outcome.error
            if not is_complete and self._state.client is not Client.ERROR:
                yield from self._send([self._error_event(error)], Client.ERROR)
            yield from self._end()
        else:
            self.exchange.outcome.error = error
            self.flow.response = self.deps.responses.error(error, self.exchange)
            yield from self.send_response()

    def _error_event(self, error: ApiError) -> bytes:
        """The event that ends the stream."""
        assert self.exchange
        self.exchange.outcome.error = error
        return self.deps.responses.error_event(self.exchange, error)

    def _resend(self) -> Commands:
        """Send the flow's new request; its response continues this stream."""
        if (yield from self.check_killed(True)):
            return
        if self._upstream:
            is_complete = self._state.upstream is Upstream.COMPLETE
            self._upstream.detach(self.stream_id, is_complete)
        queued = self._paused_event_queue
        self._paused_event_queue = deque(e for e in queued if not isinstance(e, SERVER_EVENTS))
        self._upstream = None
        self._state.move_upstream(Upstream.NONE)
        self.flow.response = None
        self.response_body_buf.clear()
        self.server_state = self.state_wait_for_response_headers
        is_connected = yield from self.make_server_connection()
        if is_connected and not (yield from self.check_killed(True)):
            request, body = self.flow.request, self.flow.request.raw_content or b""
            for event in (
                RequestHeaders(self.stream_id, request, end_stream=False),
                RequestData(self.stream_id, body),
                RequestEndOfMessage(self.stream_id),
            ):
                yield SendHttp(event, self.context.server)

    def _cancel_upstream(self) -> Commands:
        """Ignore further events of the upstream; close it if its response is not complete."""
        was_waiting = self._state.upstream is Upstream.WAITING
        if self._state.upstream is not Upstream.COMPLETE:
            self._state.move_upstream(Upstream.CANCELLED)
        if was_waiting:
            cancel = RequestProtocolError(self.stream_id, "cancelled", ErrorCode.CANCEL)
            yield SendHttp(cancel, self.context.server)

    # To the client

    def _send(self, pieces: list[bytes], kind: Client = Client.CONTENT) -> Commands:
        """Send events of a stream, after its head. `kind`: what the client has then received."""
        if not pieces:
            return
        self._client_at = time.monotonic()
        if not self._head:
            if self.server_state != self.state_stream_response_body:
                assert self.exchange
                self.flow.response = self.deps.responses.stream_head(self.flow, self.exchange)
            self._head = self.flow.response
            assert self._head
            self._is_chunked = self._head.headers.get("transfer-encoding") == "chunked"
            self._state.move_client(Client.HEAD)
            yield SendHttp(ResponseHeaders(self.stream_id, self._head), self.context.client)
        if kind is Client.ERROR:
            self._state.move_client(kind)
        elif kind is Client.CONTENT and self._state.may_retry and not all(map(_is_comment, pieces)):
            self._state.move_client(kind)
            if self.exchange and self.exchange.prompt:
                self.exchange.prompt.first_token_at = self._client_at
        data = b"".join(pieces)
        assert self.exchange
        if self.exchange.is_captured and len(self.sent) < MAX_RESPONSE_BYTES:
            self.sent += data
        if self._is_chunked:  # faster than through the client's layer
            yield commands.SendData(self.context.client, b"%x\r\n%s\r\n" % (len(data), data))
        else:
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)

    def send_response(self, already_streamed: bool = False) -> Commands:
        self._state.move_client(Client.ENDED)
        yield from super().send_response(already_streamed)

    def _end(self) -> Commands:
        """End the stream; the flow shows what the client has received."""
        if self._state.upstream is not Upstream.COMPLETE:
            self._state.move_upstream(Upstream.CANCELLED)
        self.flow.response = self._head
        assert self.flow.response
        if self.exchange and self.exchange.is_captured:
            self.flow.response.data.content = bytes(self.sent)
        yield from self.send_response(already_streamed=True)


def _is_comment(piece: bytes) -> bool:
    return piece.startswith(b":")

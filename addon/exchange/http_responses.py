"""Builds every response that a client of a claimed flow gets, as mitmproxy's objects.

These are the proxy's own replies, errors (only here does an error become bytes), an upstream's
complete response, and the head and body of a stream.
"""

import logging
from collections.abc import Iterable
from typing import Any

from mitmproxy import http

from addon.exchange import content_coding
from addon.exchange.body_stream import BodyStream
from addon.exchange.exchange import Exchange
from addon.exchange.response_headers import from_upstream, hide_secrets, to_client
from backends import jsonio, openai_wire
from backends.backend import Headers
from backends.dialect import Encoder
from backends.errors import INTERRUPTS, ApiError, internal_error
from backends.redact import Redactor
from commands.routing import failover

logger = logging.getLogger(__name__)

Fields = Iterable[tuple[str, str]]

JSON, SSE = "application/json", "text/event-stream"


def json_reply(status: int, value: Any, headers: Fields = ()) -> http.Response:
    """A complete JSON response of the proxy itself."""
    fields = [("content-type", JSON), *headers]
    encoded = http.Headers([(name.encode(), value.encode()) for name, value in fields])
    return _response(status, jsonio.encode(value), encoded)


def sse_reply(stream: bytes) -> http.Response:
    """A complete stream of the proxy itself."""
    return _response(200, stream, http.Headers([(b"content-type", SSE.encode())]))


def encode(completion: dict[str, Any], encoder: Encoder) -> bytes:
    """Write a completion as a stream in the client's dialect."""
    *chunks, _ = openai_wire.stream_of(completion)
    return b"".join([*map(encoder.chunk, chunks), encoder.done()])


class ResponseBuilder:
    """Builds responses of upstreams and errors, without secrets and within a limit."""

    def __init__(self, redactor: Redactor, max_body_bytes: int) -> None:
        self._redactor = redactor
        self._max_body_bytes = max_body_bytes

    def error(self, error: ApiError, exchange: Exchange | None = None) -> http.Response:
        """An error response with its status, in the client's dialect if that is known."""
        dialect = exchange and exchange.dialect
        error = _for_client(error, exchange)
        value = dialect.error_body(error) if dialect else error.body()
        body = self._redactor.scrub_bytes(jsonio.encode(value))
        return _response(error.status, body, self._headers(JSON, error.headers))

    def error_event(self, exchange: Exchange, error: ApiError) -> bytes:
        """The event that ends a started stream with an error."""
        assert exchange.encoder
        return self._redactor.scrub_bytes(exchange.encoder.error(_for_client(error, exchange)))

    def complete(self, exchange: Exchange, response: http.Response) -> http.Response:
        """Translate an upstream's complete response. Raises ApiError if it is not a completion."""
        headers = from_upstream(response)
        try:
            return self._complete(exchange, response, headers)
        except ApiError as error:
            error.headers = (*headers, *error.headers)
            raise
        except INTERRUPTS:
            raise
        except BaseException:
            logger.exception("Internal error while reading an upstream's response")
            raise internal_error() from None

    def _complete(
        self, exchange: Exchange, response: http.Response, headers: Headers
    ) -> http.Response:
        assert exchange.upstream
        title, call = exchange.upstream.title, exchange.upstream.call
        content_type = response.headers.get("content-type", "")
        coding = response.headers.get("content-encoding", "")
        try:
            body = content_coding.decode(response.raw_content or b"", coding, self._max_body_bytes)
        except content_coding.TooLarge:
            raise self.too_large(title) from None
        except ValueError as error:
            raise ApiError(502, f"{title} sent a body that cannot be decoded: {error}") from None
        exchange.capture(body)
        if response.status_code != 200:
            raise call.read_error(response.status_code, content_type, body)
        body = self._redactor.scrub_bytes(body)
        completion = call.read_response(body)
        exchange.outcome.update(completion)
        has_note = exchange.note is not None and exchange.note.prepend_to(completion)
        if exchange.pipe and exchange.encoder:
            # Some providers ignore `stream: true`; SDKs would see an empty stream.
            exchange.pipe.has_ended = True
            body = encode(completion, exchange.encoder)
            return _response(200, body, self._headers(SSE, headers))
        request = exchange.client_request
        shaped = request.render(completion) if request else completion
        if shaped is not completion or has_note or not call.speaks_openai:
            body, content_type = jsonio.encode(shaped), JSON
        made = _response(200, body, self._headers(content_type or JSON, headers))
        made.timestamp_start = response.timestamp_start
        return made

    def stream_head(
        self, flow: http.HTTPFlow, exchange: Exchange, upstream: http.Response | None = None
    ) -> http.Response:
        """The head of a stream; without `upstream` it begins before the upstream has responded.

        The body is chunked if the client's HTTP version has chunks.
        """
        if upstream:
            headers = dict(reply_headers(exchange)) | dict(from_upstream(upstream))
        else:  # another attempt may follow
            headers = dict(exchange.reply_headers)
        headers.setdefault("content-type", SSE)
        if flow.request.http_version == "HTTP/1.1":
            headers["transfer-encoding"] = "chunked"
        head = http.Response.make(200, b"", to_client(headers.items(), self._redactor))
        head.data.content = None
        head.headers.pop("content-length", None)
        return head

    def stream(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Forward an upstream's response piece by piece, if it is the stream that was requested."""
        response = flow.response
        assert response
        hide_secrets(response, self._redactor)
        content_type = response.headers.get("content-type", "").lower()
        if not (exchange.pipe and response.status_code == 200 and content_type.startswith(SSE)):
            return
        coding = response.headers.get("content-encoding", "")
        head = self.stream_head(flow, exchange, response)
        head.timestamp_start = response.timestamp_start
        scrub = self._redactor.scrub_bytes
        head.stream = BodyStream(exchange, coding, self._max_body_bytes, scrub, self.error_event)
        flow.response = head

    def too_large(self, title: str) -> ApiError:
        """The error for an upstream's body over the limit."""
        limit = f"{self._max_body_bytes / 2**20:g} MiB (setting max_body_mib)"
        return ApiError(502, f"{title} sent a response of more than {limit}")

    def finish_headers(self, response: http.Response, exchange: Exchange) -> None:
        """Add the headers of every response, and make all of them safe."""
        fields = [(name.lower(), value) for name, value in response.headers.items(multi=True)]
        there = {name for name, _ in fields}
        fields += (field for field in reply_headers(exchange) if field[0] not in there)
        response.headers = to_client(fields, self._redactor)

    def _headers(self, content_type: str, headers: Fields) -> http.Headers:
        rest = (field for field in headers if field[0] != "content-type")
        return to_client([("content-type", content_type), *rest], self._redactor)


def reply_headers(exchange: Exchange) -> Headers:
    """Headers for every response: request id, CORS, backend, model, attempts, warnings."""
    upstream = exchange.upstream
    if upstream is None:
        return exchange.reply_headers
    attempts = exchange.attempts.made if exchange.attempts else 1
    headers = [
        *exchange.reply_headers,
        ("x-llm-proxy-backend", upstream.target.backend),
        ("x-llm-proxy-model", upstream.target.model),
        ("x-llm-proxy-attempts", str(attempts)),
    ]
    request = exchange.client_request
    warnings = [*(request.warnings if request else ()), *upstream.call.warnings]
    if warnings:
        headers.append(("x-proxy-warnings", ", ".join(warnings)))
    return headers


def _for_client(error: ApiError, exchange: Exchange | None) -> ApiError:
    upstream = exchange and exchange.upstream
    return failover.for_client(error, upstream.title, upstream.key_name) if upstream else error


def _response(status: int, body: bytes, headers: http.Headers) -> http.Response:
    return http.Response.make(status, body, headers)

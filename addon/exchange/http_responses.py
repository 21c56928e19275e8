"""Builds every response that a client of a claimed flow gets, as mitmproxy's objects.

These are the proxy's own replies, errors (only here does an error become bytes), an upstream's
complete response, and the head and body of a stream.
"""

import logging
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from mitmproxy import http

from addon.exchange.exchange import Exchange
from backends import jsonio, openai_wire
from backends.backend import Headers
from backends.dialect import Encoder
from backends.errors import ApiError, internal_error
from backends.redact import Redactor
from backends.stream import Pipe

logger = logging.getLogger(__name__)

# They concern the connection to the upstream, a body that we may have changed, or its own site.
DROPPED_HEADERS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-encoding",
        "content-length",
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
    }
)

Fields = Iterable[tuple[str, str]]


def json_reply(status: int, value: Any, fields: Fields = ()) -> http.Response:
    """A complete JSON response."""
    return _response(status, jsonio.encode(value), [("content-type", "application/json"), *fields])


def sse_reply(stream: bytes) -> http.Response:
    """A complete stream at once."""
    return _response(200, stream, [("content-type", "text/event-stream")])


def encode(completion: dict[str, Any], encoder: Encoder) -> bytes:
    """Write a completion as a stream in the client's dialect."""
    *chunks, _ = openai_wire.stream_of(completion)
    return b"".join([*map(encoder.chunk, chunks), encoder.done()])


class ResponseBuilder:
    """Builds responses of upstreams and errors, without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def error(self, error: ApiError, exchange: Exchange | None = None) -> http.Response:
        """An error response with its status, in the client's dialect if that is known."""
        dialect = exchange and exchange.dialect
        value = dialect.error_body(error) if dialect else error.body()
        body = self._redactor.scrub_bytes(jsonio.encode(value))
        return _response(error.status, body, _with_type("application/json", error.headers))

    def error_event(self, exchange: Exchange, error: ApiError) -> bytes:
        """The event that ends a started stream with an error."""
        assert exchange.encoder
        return self._redactor.scrub_bytes(exchange.encoder.error(error))

    def stream(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Translate the upstream's response while it arrives, if the client has to get a stream."""
        response, upstream, pipe = flow.response, exchange.upstream, exchange.pipe
        if not (response and upstream and pipe and response.status_code == 200):
            return
        content_type = response.headers.get("content-type", "").lower()
        if not content_type.startswith("text/event-stream"):
            return
        fields = [*reply_fields(exchange), *kept_fields(response)]
        coding = response.headers.get("content-encoding", "")
        flow.response = stream_head(flow, fields)
        flow.response.timestamp_start = response.timestamp_start
        flow.response.stream = BodyStream(exchange, pipe, coding, upstream.title, self.error_event)

    def complete(self, exchange: Exchange, response: http.Response) -> http.Response:
        """Translate an upstream's complete response. Raises ApiError if it is not a completion."""
        fields = kept_fields(response)
        try:
            return self._complete(exchange, response, fields)
        except ApiError as error:
            error.headers = (*fields, *error.headers)
            raise
        except Exception:
            logger.exception("Internal error while reading an upstream's response")
            raise internal_error() from None

    def _complete(
        self, exchange: Exchange, response: http.Response, fields: list[tuple[str, str]]
    ) -> http.Response:
        assert exchange.upstream
        title, call = exchange.upstream.title, exchange.upstream.call
        content_type = response.headers.get("content-type", "")
        try:
            body = response.get_content(strict=True) or b""
        except ValueError as error:
            raise ApiError(502, f"{title} sent a body that cannot be decoded") from error
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
            return _response(200, body, _with_type("text/event-stream", fields))
        request = exchange.client_request
        shaped = request.render(completion) if request else completion
        if shaped is not completion or has_note or not call.speaks_openai:
            body = jsonio.encode(shaped)
            fields = _with_type("application/json", fields)
        response.headers = _headers([*fields, ("content-length", str(len(body)))])
        response.data.content = body
        response.data.trailers = None
        return response


def reply_fields(exchange: Exchange) -> Headers:
    """Headers for every response: request id, CORS, backend, model, attempts, warnings."""
    upstream = exchange.upstream
    if upstream is None:
        return exchange.reply_fields
    attempts = exchange.attempts.made if exchange.attempts else 1
    fields = [
        *exchange.reply_fields,
        ("x-llm-proxy-backend", upstream.target.backend),
        ("x-llm-proxy-model", upstream.target.model),
        ("x-llm-proxy-attempts", str(attempts)),
    ]
    request = exchange.client_request
    warnings = [*(request.warnings if request else ()), *upstream.call.warnings]
    if warnings:
        fields.append(("x-proxy-warnings", ", ".join(warnings)))
    return fields


def kept_fields(response: http.Response) -> list[tuple[str, str]]:
    """The headers of an upstream that are for the client, with names in lower case."""
    names = (
        (name.lower().decode("utf-8", "surrogateescape"), value)
        for name, value in response.headers.fields
    )
    return [
        (name, value.decode("utf-8", "surrogateescape"))
        for name, value in names
        if name not in DROPPED_HEADERS
    ]


def add_fields(response: http.Response, fields: Fields) -> None:
    """Add the headers that the response does not have yet."""
    there = {name.lower() for name, _ in response.headers.fields}
    added = [field for field in _headers(fields).fields if field[0] not in there]
    response.headers.fields = (*response.headers.fields, *added)


def _with_type(content_type: str, fields: Fields) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in fields if name != "content-type"]
    return [("content-type", content_type), *kept]


def stream_head(flow: http.HTTPFlow, fields: Fields = ()) -> http.Response:
    """The head of a stream; the body is chunked if the client's HTTP version has chunks."""
    head = http.Response.make(200, b"", _headers(dict(fields).items()))
    head.headers.setdefault("content-type", "text/event-stream")
    head.data.content = None
    del head.headers["content-length"]
    if flow.request.http_version == "HTTP/1.1":
        head.headers["transfer-encoding"] = "chunked"
    return head


class BodyStream:
    """The callable for `flow.response.stream`: decodes the body and feeds the pipe.

    mitmproxy calls it for each piece of the body, and with b"" at the end. It must not raise, nor
    return an empty piece, which would end a chunked body.
    """

    def __init__(
        self,
        exchange: Exchange,
        pipe: Pipe,
        content_encoding: str,
        title: str,
        write_error: Callable[[Exchange, ApiError], bytes],
    ) -> None:
        self._exchange = exchange
        self._pipe = pipe
        self._decode = _decoder(content_encoding)
        self._title = title
        self._write_error = write_error

    def __call__(self, data: bytes) -> list[bytes]:
        """`read`, with the error event at the end."""
        had_ended = self._pipe.has_ended
        pieces = self.read(data)
        error = self._exchange.outcome.error
        return (
            [*pieces, self._write_error(self._exchange, error)]
            if error and not had_ended
            else pieces
        )

    def read(self, data: bytes) -> list[bytes]:
        """The events for the client; an error is only put into the outcome."""
        try:
            if not data:
                return self._pipe.finish()
            if self._decode:
                data = self._decode(data)
            self._exchange.capture(data)
            return self._pipe.feed(data)
        except (ValueError, zlib.error) as error:
            logger.warning("%s sent a stream that cannot be read: %s", self._title, error)
            message = f"{self._title} sent a stream that cannot be read: {error}"
            self._pipe.fail(ApiError(502, message))
        except Exception:
            logger.exception("Internal error in a stream")
            self._pipe.fail(internal_error())
        return []


def _decoder(content_encoding: str) -> Callable[[bytes], bytes] | None:
    """The decoder of a stream; None without an encoding, which is all that we accept."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress  # tells gzip from zlib itself

    def refuse(data: bytes) -> bytes:
        raise ValueError(f"content-encoding {content_encoding!r} is not accepted")

    return refuse


def _response(status: int, body: bytes, fields: Fields) -> http.Response:
    return http.Response.make(status, body, _headers(fields))


def _headers(fields: Fields) -> http.Headers:
    # Header bytes are latin-1 on the wire; mitmproxy reads and writes other bytes as surrogates.
    return http.Headers(
        [
            (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
            for name, value in fields
        ]
    )

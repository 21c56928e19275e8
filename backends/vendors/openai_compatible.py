"""The backend for vendors that speak the chat completions API.

It passes requests and responses unchanged, except for the vendor's name of the model. It recognises
errors wherever such vendors report them: in the status, in a 200 body, in a stream's event. Facts
marked "docs" are from OpenRouter's API reference of August 2026.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from backends import jsonio, sse
from backends.backend import Headers, ModelRequest, UpstreamRequest
from backends.errors import ApiError, describe_response, error_status
from backends.jsonio import Json, count, decode_object
from backends.keys import Key
from backends.stream import Chunk, Done, Event, Failed

# Chunks with facts about the whole response. JSON escapes quotes inside strings, so these bytes can
# only be a key. All other chunks pass unparsed.
_MATTERS = re.compile(rb'"(?:error"\s*:\s*[{"]|usage"\s*:\s*\{|finish_reason"\s*:\s*")')
_CONTEXT_TOO_LONG = re.compile(r"maximum context length|context_length_exceeded", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OpenAiCompatible:
    """Forwards requests unchanged. Vendors override what they add."""

    base_url: str

    title = "The upstream"
    model_facts: ClassVar[Sequence[str]] = ()
    """Fields of a model's entry that help clients to choose one."""

    def prepare(self, request: ModelRequest, key: Key) -> "OpenAiCall":
        return OpenAiCall(self._request("chat/completions", request, key), self.title)

    def embed(self, request: ModelRequest, key: Key) -> "OpenAiCall":
        return OpenAiCall(self._request("embeddings", request, key), self.title, result="data")

    def _request(self, path: str, request: ModelRequest, key: Key) -> UpstreamRequest:
        sent = self._adapted(_with_model(request))
        headers = [*self._headers(request.headers), ("content-type", "application/json")]
        url, body = f"{self.base_url}/{path}", sent.body or jsonio.encode(sent.chat)
        return UpstreamRequest("POST", url, headers, body, credential_of(key))

    def _adapted(self, request: ModelRequest) -> ModelRequest:
        """The request with the vendor's own fields."""
        return request

    def _headers(self, client_headers: Headers) -> Headers:
        """The client's headers to forward, and the vendor's own."""
        return []

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        return UpstreamRequest("GET", f"{self.base_url}/models", [], credential=credential_of(key))

    def read_models(self, body: bytes) -> tuple[Iterable[Json], str | None]:
        parsed = decode_object(body)
        entries = parsed.get("data") if parsed else None
        if not isinstance(entries, list):
            raise ValueError(f"the model list of {self.title} has no 'data' list")
        models = [
            {
                "id": entry["id"],
                "object": "model",
                "created": count(entry.get("created")),
                "owned_by": entry["id"].partition("/")[0],
                **{fact: entry[fact] for fact in self.model_facts if fact in entry},
            }
            for entry in entries
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        ]
        return models, None


def _with_model(request: ModelRequest) -> ModelRequest:
    """The request with the vendor's name of the model."""
    model = request.chat.get("model")
    if not request.model or request.model == model:
        return request
    body = request.body and _replace_model(request.body, model, request.model)
    return request._replace(chat={**request.chat, "model": request.model}, body=body)


@dataclass(frozen=True, slots=True)
class OpenAiCall:
    """One request."""

    request: UpstreamRequest
    title: str
    """The vendor's name."""
    result: str = "choices"
    """The field that every successful response has."""

    speaks_openai = True
    warnings = ()

    def decoder(self) -> "StreamDecoder":
        return StreamDecoder(self.title)

    def read_response(self, body: bytes) -> dict[str, Any]:
        completion = decode_object(body)
        if completion is None:
            raise ApiError(502, f"{self.title} answered with something that is not a JSON object")
        if completion.get("error"):
            # An error with HTTP 200 (docs): without this check it looks like an empty response.
            raise to_api_error(completion["error"], self.title)
        if not isinstance(completion.get(self.result), list):
            raise ApiError(502, f"{self.title} answered without '{self.result}'")
        return completion

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        parsed = decode_object(body)
        if parsed and parsed.get("error"):
            return to_api_error(parsed["error"], self.title, status)
        message = describe_response(self.title, status, content_type, body)
        return ApiError(status if status >= 400 else 502, message)

    def retry_for(self, error: ApiError) -> None:
        """No workaround is known: the request goes out as the client wrote it."""


class StreamDecoder:
    """Decodes the vendor's stream. Blocks pass unchanged, including comments."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._splitter = sse.Splitter()

    def feed(self, data: bytes) -> list[Event]:
        if self._splitter.is_whole(data) and b"[DONE]" not in data and not _MATTERS.search(data):
            return [Chunk(data)]
        return [self._read(block) for block in self._splitter.feed(data)]

    def finish(self) -> list[Event]:
        """A last event without its blank line counts, an incomplete one does not."""
        rest = self._splitter.finish().rstrip(b"\r\n")
        data = sse.data_of(rest)
        if data is None or (data != b"[DONE]" and decode_object(data) is None):
            return []
        return [self._read(rest + b"\n\n")]

    def _read(self, block: bytes) -> Event:
        data = sse.data_of(block)
        if data is None:
            return Chunk(block)
        if data.strip() == b"[DONE]":
            return Done()
        chunk = decode_object(data) if _MATTERS.search(data) else None
        if chunk is None:
            return Chunk(block)
        if chunk.get("error"):
            return Failed(to_api_error(chunk["error"], self._title))
        if _finishes_with_error(chunk):
            return Failed(ApiError(502, "The model's response ended with finish_reason 'error'"))
        return Chunk(block, chunk)


def _finishes_with_error(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") == "error" for choice in choices
    )


def to_api_error(error: Any, title: str, status: int | None = None) -> ApiError:
    """Translate a vendor's error value; `status` is the HTTP status if that reported the error.

    OpenRouter's is `{"code": int | str, "message": str, "metadata": {...} | null}`; newer ones have
    `http_status` instead of `code` (docs). Other gateways send a bare string.
    """
    if not isinstance(error, dict):
        return ApiError(status or 502, str(error))
    metadata = error.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    message = _message(error, metadata, title)
    code = error["code"] if isinstance(error.get("code"), str) else None
    code = code or metadata.get("error_type") or error.get("error_type")
    if _CONTEXT_TOO_LONG.search(message):
        code = "context_length_exceeded"  # agents compact their history on it
    known = ("code", "message", "type", "param")
    return ApiError(
        status or error_status(error.get("code")) or error_status(error.get("http_status")) or 502,
        message,
        type=error.get("type") if isinstance(error.get("type"), str) else None,
        code=code if isinstance(code, str) else None,
        param=error.get("param") if isinstance(error.get("param"), str) else None,
        extra={key: value for key, value in error.items() if key not in known},
    )


def _message(error: Mapping[str, Any], metadata: Mapping[str, Any], title: str) -> str:
    """The error's text. After OpenRouter's stock phrase comes the provider's own reason."""
    message = str(error.get("message") or f"{title} reported an error without a message")
    raw = metadata.get("raw")
    if message != "Provider returned error" or not isinstance(raw, str) or not raw:
        return message
    inner = decode_object(raw.encode("utf-8", "replace")) or {}
    inner_error = inner.get("error")
    detail = inner_error.get("message") if isinstance(inner_error, dict) else inner.get("message")
    return f"{message}: {detail if isinstance(detail, str) else raw[:500]}"


def _replace_model(body: bytes, old: str | None, new: str) -> bytes | None:
    """Replace the model in the client's own text. Returns None if its place is not certain.

    A key that occurs once in the body is the request's own, unless that is written with escapes.
    """
    if old is None or body.count(b'"model"') != 1 or b"\\u006" in body:
        return None
    value = re.escape(jsonio.encode(old))
    field = re.compile(rb'"model"\s*:\s*(%s)' % value).match(body, body.index(b'"model"'))
    return field and body[: field.start(1)] + jsonio.encode(new) + body[field.end(1) :]


def credential_of(key: Key) -> tuple[str, str]:
    """The header that carries a key."""
    return ("authorization", f"Bearer {key.value}")

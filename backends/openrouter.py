"""OpenRouter: the same wire as the client's, so requests and answers pass as they are.

What is done here: pick the headers that may leave, name the application, recognise errors wherever
OpenRouter puts them (status, 200 body, event in a stream), list its models. Facts marked "docs"
are from OpenRouter's API reference, state of August 2026.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backends import jsonio, sse
from backends.errors import ApiError
from backends.keys import Key
from backends.protocol import Headers, Prompt, UpstreamRequest
from backends.stream import Chunk, Done, Event, Failed

# Client headers with a meaning to OpenRouter (docs). All others stay here: credentials, hop-by-hop
# headers, and what SDKs and agents tell their own vendor.
FORWARDED = frozenset(
    {
        "user-agent",
        "http-referer",
        "x-title",
        "x-session-id",
        "x-anthropic-beta",
        "anthropic-beta",
        "idempotency-key",
    }
)
FORWARDED_PREFIX = "x-openrouter-"
TITLE_HEADERS = frozenset({"x-title", "x-openrouter-title"})

# Chunks that tell something about the whole answer. JSON escapes a quote inside a string, so these
# bytes can only be a key; everything else passes unparsed.
_MATTERS = re.compile(rb'"(?:error"\s*:\s*[{"]|usage"\s*:\s*\{|finish_reason"\s*:\s*")')
_CONTEXT_TOO_LONG = re.compile(r"maximum context length|context_length_exceeded", re.IGNORECASE)
_PAGE_TITLE = re.compile(rb"<title>\s*([^<]{1,200}?)\s*</title>", re.IGNORECASE)

# Of a model's entry these are what clients choose by; descriptions alone would be half a megabyte.
MODEL_FACTS = (
    "name",
    "context_length",
    "architecture",
    "pricing",
    "top_provider",
    "supported_parameters",
)


@dataclass(frozen=True, slots=True)
class OpenRouter:
    """`site_url` and `app_title` name the application towards OpenRouter, if configured."""

    base_url: str
    site_url: str | None = None
    app_title: str | None = None

    title = "OpenRouter"

    def prepare(self, prompt: Prompt, key: Key) -> "OpenRouterCall":
        return OpenRouterCall(self._request("chat/completions", prompt, key))

    def embed(self, prompt: Prompt, key: Key) -> "OpenRouterCall":
        return OpenRouterCall(self._request("embeddings", prompt, key), result="data")

    def _request(self, path: str, prompt: Prompt, key: Key) -> UpstreamRequest:
        chat, body = prompt.chat, prompt.body
        if prompt.model and chat.get("model") != prompt.model:
            body = body and _with_model(body, chat.get("model"), prompt.model)
            chat = {**chat, "model": prompt.model}
        if prompt.project and isinstance(chat.get("metadata", {}), dict):
            chat = {**chat, "metadata": {**chat.get("metadata", {}), "project": prompt.project}}
            body = None
        body = body or jsonio.encode(chat)
        headers = [*self._headers(prompt.headers), ("content-type", "application/json")]
        return UpstreamRequest("POST", f"{self.base_url}/{path}", headers, body, _credential(key))

    def _headers(self, client_headers: Headers) -> Headers:
        """The client's own attribution holds unless one is configured."""
        ours: Headers = []
        replaced: set[str] = set()
        if self.site_url:
            ours.append(("http-referer", self.site_url))
            replaced.add("http-referer")
        if self.app_title:
            ours.append(("x-openrouter-title", self.app_title))
            replaced |= TITLE_HEADERS
        passed = [
            (name, value)
            for name, value in client_headers
            if (name in FORWARDED or name.startswith(FORWARDED_PREFIX)) and name not in replaced
        ]
        return passed + ours

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        return UpstreamRequest("GET", f"{self.base_url}/models", [], credential=_credential(key))

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        parsed = _object(body)
        entries = parsed.get("data") if parsed else None
        if not isinstance(entries, list):
            raise ValueError("no 'data' list in OpenRouter's models")
        models = [
            {
                "id": entry["id"],
                "object": "model",
                "created": entry.get("created") or 0,
                "owned_by": entry["id"].partition("/")[0],
                **{fact: entry[fact] for fact in MODEL_FACTS if fact in entry},
            }
            for entry in entries
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        ]
        return models, None


@dataclass(frozen=True, slots=True)
class OpenRouterCall:
    """One request; `result` is the field that no good answer lacks."""

    request: UpstreamRequest
    result: str = "choices"

    speaks_openai = True
    warnings = ()

    def decoder(self) -> "StreamDecoder":
        return StreamDecoder()

    def read_whole(self, body: bytes) -> dict[str, Any]:
        completion = _object(body)
        if completion is None:
            raise ApiError(502, "OpenRouter answered with something that is no JSON object")
        if completion.get("error"):
            # An error inside HTTP 200 (docs): without this it looks like an empty answer.
            raise to_api_error(completion["error"])
        if not isinstance(completion.get(self.result), list):
            raise ApiError(502, f"OpenRouter answered without '{self.result}'")
        return completion

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        parsed = _object(body)
        if parsed and parsed.get("error"):
            return to_api_error(parsed["error"], status)
        status = status if status >= 400 else 502
        message = f"OpenRouter answered with HTTP {status} and {content_type or 'no content type'}"
        if page := _PAGE_TITLE.search(body):
            message += f": {page[1].decode('utf-8', 'replace')}"
        return ApiError(status, message)

    def amend(self, error: ApiError) -> None:
        """OpenRouter is asked as the client asked; there is no other way."""


class StreamDecoder:
    """OpenRouter's event stream: blocks pass as they are, comments included."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()

    def feed(self, data: bytes) -> list[Event]:
        if self._splitter.is_whole(data) and b"[DONE]" not in data and not _MATTERS.search(data):
            return [Chunk(data)]
        return [_read_block(block) for block in self._splitter.feed(data)]

    def finish(self) -> list[Event]:
        """A last event that lacks only its blank line counts; half an event does not."""
        rest = self._splitter.finish().rstrip(b"\r\n")
        data = sse.data_of(rest)
        if data is None or (data != b"[DONE]" and _object(data) is None):
            return []
        return [_read_block(rest + b"\n\n")]


def _read_block(block: bytes) -> Event:
    data = sse.data_of(block)
    if data is None:
        return Chunk(block)
    if data.strip() == b"[DONE]":
        return Done()
    if not _MATTERS.search(data):
        return Chunk(block)
    chunk = _object(data)
    if chunk is None:
        return Chunk(block)
    if chunk.get("error"):
        return Failed(to_api_error(chunk["error"]))
    if _finishes_with_error(chunk):
        return Failed(ApiError(502, "The model's answer ended with finish_reason 'error'"))
    return Chunk(block, chunk)


def _finishes_with_error(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") == "error" for choice in choices
    )


def to_api_error(error: Any, status: int | None = None) -> ApiError:
    """OpenRouter's error value as ours; `status` is the HTTP status if that told of the error.

    `error` is `{"code": int | str, "message": str, "metadata": {...} | null}`, newer ones have
    `http_status` and no `code` (docs); a bare string occurs with other gateways.
    """
    if not isinstance(error, dict):
        return ApiError(status or 502, str(error))
    metadata = error.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    message = _message(error, metadata)
    code = error["code"] if isinstance(error.get("code"), str) else None
    code = code or metadata.get("error_type") or error.get("error_type")
    if _CONTEXT_TOO_LONG.search(message):
        code = "context_length_exceeded"  # agents compact their history on it
    known = ("code", "message", "type", "param")
    return ApiError(
        status or _status(error.get("code")) or _status(error.get("http_status")) or 502,
        message,
        type=error.get("type") if isinstance(error.get("type"), str) else None,
        code=code if isinstance(code, str) else None,
        param=error.get("param") if isinstance(error.get("param"), str) else None,
        extra={key: value for key, value in error.items() if key not in known},
    )


def _message(error: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """The error's text; behind OpenRouter's stock phrase the provider's own, which says why."""
    message = str(error.get("message") or "OpenRouter reported an error without a message")
    raw = metadata.get("raw")
    if message != "Provider returned error" or not isinstance(raw, str) or not raw:
        return message
    inner = _object(raw.encode("utf-8", "replace")) or {}
    inner_error = inner.get("error")
    detail = inner_error.get("message") if isinstance(inner_error, dict) else inner.get("message")
    return f"{message}: {detail if isinstance(detail, str) else raw[:500]}"


def _status(code: object) -> int | None:
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, or None; blank lines before it are keep-alive padding."""
    try:
        value = jsonio.decode(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _with_model(body: bytes, old: str | None, new: str) -> bytes | None:
    """A request with another model, all else as the client wrote it; None if that is not so simple.

    A key that stands in the body once is the request's own, unless that is spelled with escapes.
    """
    if old is None or body.count(b'"model"') != 1 or b"\\u006" in body:
        return None
    value = re.escape(jsonio.encode(old))
    field = re.compile(rb'"model"\s*:\s*(%s)' % value).match(body, body.index(b'"model"'))
    return field and body[: field.start(1)] + jsonio.encode(new) + body[field.end(1) :]


def _credential(key: Key) -> tuple[str, str]:
    return ("authorization", f"Bearer {key.value}")

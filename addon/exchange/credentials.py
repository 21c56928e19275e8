"""Keeps clients' credentials out of flows: hides them, and reveals them in the bytes that are sent.

A flow can be shown, saved and exported at any moment, so it never holds a credential.
"""

import copy
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import unquote_to_bytes

from mitmproxy import http
from mitmproxy.connection import Server

from backends.backend import Headers

HIDDEN = b"(hidden)"

_NAMES = frozenset(
    {
        b"authorization",
        b"proxy-authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"anthropic-api-key",
        b"x-auth-token",
        b"cookie",
        b"set-cookie",
    }
)
# They choose the host, say how the message ends, or are words, text, ids and digests.
_HARMLESS_NAMES = re.compile(
    rb"host|origin|connection|upgrade|te|expect|transfer-encoding|content-.*|accept(-.*)?"
    rb"|user-agent|originator|x-title|http-referer|via|date|range|if-.*|cache-control|pragma"
    rb"|traceparent|tracestate|baggage|sentry-trace|idempotency-key|access-control-.*"
    rb"|sec-(ch|fetch)-.*|sec-websocket-(key|version|extensions)|x-forwarded-.*"
    rb"|x-stainless-.*|x-openrouter-.*|x-goog-api-client|x-codex-.*"
    rb"|.*[-_](id|session|affinity|version|betas?|organization|project)"
)
_HARMLESS_PARAMETERS = re.compile(
    rb"after|before|cursor|order|limit|model|alt|fields|nonce|.*version|.*page[-_]?token|.*[-_]?id"
)
_SECRET_PARAMETERS = re.compile(
    rb".*(key|token|secret|signature|passw(or)?d|credential|assertion)|sig|code|auth(orization)?"
)
# Keys of vendors, JSON Web Tokens, a key in a WebSocket's protocols.
_SHAPES = re.compile(
    rb"\b(sk|pk|rk|gsk|hf|xai|pplx|glpat|gh[opsu]|github_pat|xox[abp])[-_][\w-]{16,}"
    rb"|\bAIza[\w-]{16,}|\bya29\.[\w-]{16,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*"
    rb"|\bopenai-insecure-api-key\.[^,\s]+",
    re.IGNORECASE,
)
_SCHEMES = re.compile(rb"\s*(bearer|basic|digest|negotiate|token|apikey)\s+\S", re.IGNORECASE)
_TOKENS = re.compile(rb"[\w+/=.~-]{20,}")
# No key is shorter that is known by its looks alone.
_MIN_LENGTH = 19
# Bits a character. 20 random hexadecimal digits have 3 or more.
_MIN_ENTROPY = 3.0
_PARAMETER = re.compile(rb"(?<=[?&;#])([^?=&;#]*)=([^&;#]+)")

_Fields = tuple[tuple[bytes, bytes], ...]


class ClientCredentials:
    """The credentials of one flow. Only the host that the client addressed receives them."""

    __slots__ = ("_destination", "_fields", "_path", "_response_fields")

    def __init__(self, destination: tuple[str, int, bool], fields: _Fields, path: bytes) -> None:
        self._destination = destination
        self._fields = fields
        self._path = path
        self._response_fields: _Fields = ()

    @classmethod
    def take(cls, request: http.Request) -> Self:
        """Hide the credentials in `request`, and keep them."""
        data = request.data
        shown, hidden = _hide(data.headers.fields, _is_credential)
        taken = cls((data.host, data.port, data.scheme == b"https"), hidden, data.path)
        data.headers.fields, data.path = shown, hide_in_url(data.path)
        return taken

    def header(self, name: str) -> str | None:
        """A hidden header of the request. Several of one name are joined, as usual."""
        values = [value for each, value in self._fields if each.lower() == name.encode()]
        return b", ".join(values).decode("utf-8", "surrogateescape") if values else None

    def take_response(self, response: http.Response) -> None:
        """Hide the cookies and keys of the response, and keep them, too."""
        headers = response.data.headers
        headers.fields, self._response_fields = _hide(headers.fields, _is_response_credential)

    def restore(self, request: http.Request) -> None:
        """Put the credentials back into `request` itself."""
        data = request.data
        data.headers.fields = _reveal(data.headers.fields, self._fields)
        data.path = _reveal_in_url(data.path, self._path)

    def to_send(self, request: http.Request, server: Server) -> http.Request:
        """A copy with the credentials, for the bytes that `server` receives.

        Without them if the client addressed another host: an addon has changed the destination.
        """
        sent = _copy(request)
        if server.address and (*server.address[:2], server.tls) == self._destination:
            self.restore(sent)
        else:
            fields = sent.data.headers.fields
            sent.data.headers.fields = tuple(each for each in fields if each[1] != HIDDEN)
        return sent

    def to_client(self, response: http.Response) -> http.Response:
        """A copy with the credentials, for the bytes that the client receives."""
        sent = _copy(response)
        headers = sent.data.headers
        headers.fields = _reveal(headers.fields, self._response_fields)
        return sent


def client_headers(request: http.Request) -> Headers:
    """The headers of a request whose credentials are hidden, without them; names in lower case."""
    return [
        (name.lower().decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in request.headers.fields
        if value != HIDDEN
    ]


def _is_credential(name: bytes, value: bytes) -> bool:
    """A header of a request gives access, by its name or by its looks."""
    return _is_response_credential(name, value) or (
        not _HARMLESS_NAMES.fullmatch(name.lower()) and _is_random(value)
    )


def _is_response_credential(name: bytes, value: bytes) -> bool:
    """The same for a response. Its random ids give no access."""
    name = name.lower()
    return name in _NAMES or (not _HARMLESS_NAMES.fullmatch(name) and _has_key(value))


def _has_key(value: bytes) -> bool:
    if b" " in value and _SCHEMES.match(value):
        return True
    return (len(value) >= _MIN_LENGTH or b"?" in value) and any(_secret_spans(value))


def hide_in_url(url: bytes) -> bytes:
    """Replace the credentials in a URL, or in the target of a request."""
    for start, end in reversed([*_secret_spans(url)]):
        url = url[:start] + HIDDEN + url[end:]
    return url


def _reveal_in_url(shown: bytes, url: bytes) -> bytes:
    """`shown` with the credentials of `url`, which may have been edited around them."""
    if shown == hide_in_url(url):
        return url
    secrets = [url[start:end] for start, end in _secret_spans(url)]
    first, *parts = shown.split(HIDDEN)
    if len(parts) != len(secrets):
        return shown
    return first + b"".join(secret + part for secret, part in zip(secrets, parts, strict=True))


def _secret_spans(text: bytes) -> Iterator[tuple[int, int]]:
    """Where a header or URL holds a key, in order and without overlaps."""
    query = text.find(b"?") if b"?" in text else len(text)
    yield from (found.span() for found in _SHAPES.finditer(text, 0, query))
    for found in _PARAMETER.finditer(text, query):
        name, value = (unquote_to_bytes(each) for each in found.groups())
        if _is_secret_parameter(name.lower(), value):
            yield found.span(2)


def _is_secret_parameter(name: bytes, value: bytes) -> bool:
    if _SHAPES.search(value):
        return True
    if _HARMLESS_PARAMETERS.fullmatch(name):
        return False
    return bool(_SECRET_PARAMETERS.fullmatch(name)) or _is_random(value)


def _is_random(value: bytes) -> bool:
    return any(_entropy(token) >= _MIN_ENTROPY for token in _TOKENS.findall(value))


def _entropy(token: bytes) -> float:
    shares = [count / len(token) for count in Counter(token).values()]
    return -sum(share * math.log2(share) for share in shares)


def _hide(fields: _Fields, is_secret: Callable[[bytes, bytes], bool]) -> tuple[_Fields, _Fields]:
    """The fields as the flow shows them, and those that are hidden."""
    shown, hidden = [], []
    for name, value in fields:
        if value == HIDDEN or is_secret(name, value):
            hidden.append((name, value))
            shown.append((name, HIDDEN))
        else:
            shown.append((name, value))
    return tuple(shown), tuple(hidden)


def _reveal(fields: _Fields, hidden: _Fields) -> _Fields:
    """The fields with their hidden values; other fields may have been edited."""
    values = {name.lower(): deque[bytes]() for name, _ in hidden}
    for name, value in hidden:
        values[name.lower()].append(value)
    return tuple(
        (name, values[name.lower()].popleft())
        if value == HIDDEN and values.get(name.lower())
        else (name, value)
        for name, value in fields
    )


def _copy[M: (http.Request, http.Response)](message: M) -> M:
    """A copy of the head that shares the body."""
    copied = copy.copy(message)
    copied.data = copy.copy(message.data)
    copied.data.headers = http.Headers(message.data.headers.fields)
    return copied

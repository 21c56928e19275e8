"""The headers of responses to clients: those an upstream may set, and how each is made safe."""

import re
from collections.abc import Iterable

from mitmproxy import http

from backends.backend import Headers
from backends.redact import Redactor

_FROM_UPSTREAM = re.compile(
    r"content-type"
    r"|retry-after(-ms)?|x-should-retry|(x|anthropic)-ratelimit-.+"  # SDKs wait as these say
    r"|(x-|anthropic-)?request-id|x-generation-id|cf-ray|openai-(version|.+-ms)"  # for support
)
"""The other headers concern the connection to the upstream, its body's encoding, or its site."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 5.6.2: a token."""

_NOT_PRINTABLE = re.compile(rb"[^ -~]")


def from_upstream(response: http.Response) -> Headers:
    """The headers that an upstream may set in the client's response, names in lower case."""
    fields = (
        (name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
        for name, value in response.headers.fields
    )
    return [field for field in fields if _FROM_UPSTREAM.fullmatch(field[0])]


def to_client(headers: Iterable[tuple[str, str]], redactor: Redactor) -> http.Headers:
    """Headers without secrets and control characters. All of a client's headers pass here.

    Characters that are not printable ASCII are percent-encoded. Headers with illegal names are
    dropped.
    """
    fields = []
    for name, value in headers:
        if _NAME.fullmatch(name := redactor.scrub(name)):
            fields.append((name.encode(), _encoded(redactor.scrub(value))))
    return http.Headers(fields)


def hide_secrets(response: http.Response, redactor: Redactor) -> None:
    """Replace secrets in an upstream's head, which views show while the body arrives."""
    data = response.data
    data.reason = redactor.scrub_bytes(data.reason)
    response.headers.fields = tuple(
        (redactor.scrub_bytes(name), redactor.scrub_bytes(value))
        for name, value in response.headers.fields
    )


def _encoded(value: str) -> bytes:
    raw = value.encode("utf-8", "replace").strip(b" \t\r\n")
    return _NOT_PRINTABLE.sub(lambda match: b"%%%02X" % match[0][0], raw)

"""Bodies that a flow keeps aside in its metadata, because its request and response hide them.

A flow's request is in the upstream's form, its response in the client's. The other two forms, and
the prompt without commands, are saved with the flow in `flow.metadata`. Flat facts are there, too,
under `llm_...` names, for the filter `~meta`.
"""

import zlib

from mitmproxy import http

CLIENT_REQUEST = "llm_client_request"
"""The body that the client sent; absent if it went upstream as it was."""
PROMPT = "llm_prompt"
"""The client's request without commands and secrets; absent if it had none."""
UPSTREAM_RESPONSE = "llm_upstream_response"
"""The body that the upstream sent; absent if the client got it as it was."""

ENDPOINT = "llm_endpoint"
"""The name of the endpoint; present in the flow of every prompt."""

CAPTURES = (CLIENT_REQUEST, PROMPT, UPSTREAM_RESPONSE)

MAX_BYTES = 64 * 2**20
"""A capture is cut after this."""
MAX_RESPONSE_BYTES = 8 * 2**20
"""The limit for responses of upstreams."""


class CompressedBody(bytes):
    """Compressed bytes that print as their size: filters and detail views print all metadata."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, compressed>"

    __str__ = __repr__

    def __deepcopy__(self, memo: object) -> "CompressedBody":
        return self


def save(flow: http.HTTPFlow, name: str, data: bytes) -> None:
    """Save a body, compressed, under one of the names in `CAPTURES`."""
    flow.metadata[name] = CompressedBody(zlib.compress(data[:MAX_BYTES], 1))


def load(flow: http.HTTPFlow, name: str) -> bytes | None:
    """Load a body. Returns None if there is none, or a file held an unreadable one."""
    data = flow.metadata.get(name)
    if not isinstance(data, bytes):
        return None
    try:
        return zlib.decompressobj().decompress(data, MAX_BYTES)
    except zlib.error:
        return None


def restore(flow: http.HTTPFlow) -> None:
    """Make the captures of a flow from a file print as their size again."""
    for name in CAPTURES:
        if isinstance(data := flow.metadata.get(name), bytes):
            flow.metadata[name] = CompressedBody(data)

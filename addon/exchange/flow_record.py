"""What a flow keeps of an exchange besides its request and response: the sides that they hide.

A flow's request is the upstream's form of a prompt, its response is the client's form of the
answer. The other two sides are kept in `flow.metadata`, which is saved with the flow; so are flat
facts under `llm_...`, for the filter `~meta`.
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
"""In all flows of prompts, the endpoint that they came to."""

CAPTURES = (CLIENT_REQUEST, PROMPT, UPSTREAM_RESPONSE)

MAX_BYTES = 64 * 2**20
"""Of a side no more than this is kept."""
MAX_ANSWER_BYTES = 8 * 2**20
"""The same for what upstreams send."""


class CompressedBody(bytes):
    """Compressed bytes that show as their size: filters and detail views print all metadata."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, compressed>"

    __str__ = __repr__

    def __deepcopy__(self, memo: object) -> "CompressedBody":
        return self


def save(flow: http.HTTPFlow, name: str, data: bytes) -> None:
    """Keep one side of a flow."""
    flow.metadata[name] = CompressedBody(zlib.compress(data[:MAX_BYTES], 1))


def load(flow: http.HTTPFlow, name: str) -> bytes | None:
    """One side of a flow; None if it is not there or, from a strange file, not readable."""
    data = flow.metadata.get(name)
    if not isinstance(data, bytes):
        return None
    try:
        return zlib.decompressobj().decompress(data, MAX_BYTES)
    except zlib.error:
        return None


def restore(flow: http.HTTPFlow) -> None:
    """Make the sides of a flow that was loaded from a file show as their size again."""
    for name in CAPTURES:
        if isinstance(data := flow.metadata.get(name), bytes):
            flow.metadata[name] = CompressedBody(data)

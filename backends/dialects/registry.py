"""The table of dialects. To add one, add a row here and a module or folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.dialect import Reader
from backends.dialects import completions
from backends.dialects.chat import read_chat
from backends.dialects.responses import from_response
from backends.dialects.responses.dialect import Responses
from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError
from backends.jsonio import Json

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

NewId = Callable[[], str]
"""Makes the unique part of an id."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One client protocol for prompts. Its requests also encode their response."""

    name: str
    """Also names the endpoint."""
    path: str
    """A pattern for the end of the path, after any prefix."""
    make_reader: Callable[[Clock, NewId], Reader]
    """Makes the reader of requests. It may remember conversations."""
    from_response: Callable[[bytes], Json | None] | None
    """Reads a complete or streamed response back as a completion; None if it was cut off.

    The field is None where responses already are chat completions.
    """
    error_body: Callable[[ApiError], Json] = ApiError.body
    """Writes the body of an error response."""
    unserved_paths: tuple[str, ...] = ()
    """Patterns like `path` of other endpoints that take a prompt. The proxy refuses them, so that
    no listed host receives them."""


_ROWS = (
    Dialect("chat", "/chat/completions", lambda clock, new_id: read_chat, from_response=None),
    Dialect(
        "completions",
        "/completions",
        lambda clock, new_id: completions.read_completion,
        from_response=completions.to_completion,
    ),
    Dialect(
        "responses",
        "/responses",
        lambda clock, new_id: Responses(ResponseStore(), clock, new_id),
        from_response=from_response.to_completion,
        unserved_paths=("/responses/(compact|input_tokens)",),
    ),
)

DIALECTS: Mapping[str, Dialect] = {row.name: row for row in _ROWS}
"""By name. If two paths match a request, the first counts."""

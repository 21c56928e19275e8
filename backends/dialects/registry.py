"""The dialects that clients speak. Adding one is a row here and a module or folder beside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends import openai_wire
from backends.dialect import Reader
from backends.dialects import completions
from backends.dialects.chat import read_chat
from backends.dialects.responses import from_response
from backends.dialects.responses.dialect import Responses
from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError
from backends.jsonio import Json

Clock = Callable[[], float]
"""Gives seconds since the epoch."""

NewId = Callable[[], str]
"""Gives the unique part of an id."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One client protocol for prompts. Its requests also make the encoder of their response."""

    name: str
    """Names the endpoint, too."""
    path: str
    """A pattern for the path's end, behind any prefix."""
    make_reader: Callable[[Clock, NewId], Reader]
    """Makes what reads requests; a reader may remember conversations."""
    error_body: Callable[[ApiError], Json] = ApiError.body
    """Writes the body of an error response."""
    models_list: Callable[[list[Json]], Json] = openai_wire.models_list
    """Writes the response that lists models, each in OpenAI's form."""
    from_response: Callable[[bytes], Json | None] | None = None
    """Reads a whole or streamed response back into a completion, None if it has no end.

    None where responses are chat completions as they stand.
    """


_ROWS = (
    Dialect("chat", "/chat/completions", lambda clock, new_id: read_chat),
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
    ),
)

DIALECTS: Mapping[str, Dialect] = {row.name: row for row in _ROWS}
"""By name. Of two paths that both match a request's the first counts."""

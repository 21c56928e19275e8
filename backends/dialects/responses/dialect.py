"""The Responses dialect: reads requests, writes responses and stores conversations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends import jsonio, openai_wire, sse
from backends.dialects.chat import map_chunk
from backends.dialects.responses import errors
from backends.dialects.responses.events import FAILED, IN_PROGRESS, event
from backends.dialects.responses.history import History
from backends.dialects.responses.output import Output
from backends.dialects.responses.request import REASONING, includes, read_chat, read_history
from backends.dialects.responses.response_state import ResponseState
from backends.dialects.responses.store import ResponseStore
from backends.dialects.responses.tools import Toolbox
from backends.errors import ApiError
from backends.jsonio import Json, Warnings
from backends.openai_wire import Chat


@dataclass(frozen=True, slots=True)
class Responses:
    """Reads requests. One instance serves all conversations."""

    store: ResponseStore
    clock: Callable[[], float]
    """Returns seconds since the epoch."""
    new_id: Callable[[], str]
    """Makes the unique part of an id."""

    def __call__(self, body: bytes) -> "ResponsesRequest":
        """A `Reader`."""
        parameters = openai_wire.read_object(body, "input")
        warnings: Warnings = []
        history = read_history(parameters, self.store, warnings)
        chat, toolbox = read_chat(parameters, history, warnings)
        warnings = list(dict.fromkeys(warnings))
        created = int(self.clock())
        return ResponsesRequest(self, parameters, chat, history, toolbox, warnings, created)


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A request for a response."""

    dialect: Responses
    parameters: Json
    """What the client sent."""
    chat: Chat
    history: History
    toolbox: Toolbox
    warnings: Warnings
    created: int
    """When it arrived, in seconds since the epoch."""

    body = None

    @property
    def typed_from(self) -> int:
        return self.history.typed_from

    def render(self, completion: dict[str, Any]) -> dict[str, Any]:
        state = self.new_state()
        state.feed(completion)
        if state.finish_reason == "error":
            raise ApiError(502, "The model's response ended with finish_reason 'error'")
        state.finish()
        self.keep(state)
        return state.response(state.status)

    def encoder(self) -> "ResponsesEncoder":
        return ResponsesEncoder(self)

    def new_state(self) -> ResponseState:
        new_id = self.dialect.new_id
        output = Output(
            self.toolbox,
            new_id,
            sends_opaque_state=includes(self.parameters, REASONING),
            is_compaction=self.history.is_to_compact,
        )
        return ResponseState(f"resp_{new_id()}", self.created, self.parameters, output)

    def keep(self, state: ResponseState) -> None:
        """Store the conversation, unless the client keeps it."""
        if self.parameters.get("store") is not False:
            self.dialect.store.keep(state.id, self.history.items, state.output.items)


class ResponsesEncoder:
    """One streamed response. It begins with the first output: until then it may fail over.

    The response is stored before its last event is sent: the client may continue at once.
    """

    is_identity = False

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._state = request.new_state()
        self._has_begun = False
        self._number = 0

    def chunk(self, raw: bytes) -> bytes:
        return map_chunk(raw, self._feed)

    def _feed(self, chunk: Json) -> bytes:
        events = self._state.feed(chunk)
        return b"" if self._state.output.is_empty else self._write(events)

    def done(self) -> bytes:
        state = self._state
        events = state.finish()
        self._request.keep(state)
        return self._write([*events, self._status_event(state.status)])

    def error(self, error: ApiError) -> bytes:
        return self._write([self._status_event(FAILED, errors.to_error(error))])

    def keep_alive(self) -> bytes:
        """An event, because Codex's idle timer ignores comments."""
        return self._write([self._status_event(IN_PROGRESS)] if self._has_begun else [])

    def _write(self, events: list[Json]) -> bytes:
        """The events, after those that begin the response if it has not begun yet."""
        if not self._has_begun:
            self._has_begun = True
            created = event("response.created", response=self._state.response(IN_PROGRESS))
            events = [created, self._status_event(IN_PROGRESS), *events]
        return b"".join(map(self._number_and_write, events))

    def _status_event(self, status: str, error: Json | None = None) -> Json:
        """The event with the response in this status."""
        return event(f"response.{status}", response=self._state.response(status, error))

    def _number_and_write(self, event: Json) -> bytes:
        numbered = {**event, "sequence_number": self._number}
        self._number += 1
        return sse.block(jsonio.encode(numbered), event["type"])

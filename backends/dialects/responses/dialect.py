"""The Responses API as a dialect: requests read, answers written, conversations kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backends import jsonio, sse
from backends.dialects.chat import rewrite
from backends.dialects.responses import errors, request
from backends.dialects.responses.answer import Answer
from backends.dialects.responses.events import FAILED, IN_PROGRESS, event
from backends.dialects.responses.request import Request
from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError
from backends.jsonio import Json
from backends.openai_wire import Chat


@dataclass(frozen=True, slots=True)
class Responses:
    """`clock` gives seconds since the epoch, `new_id` the unique part of ids."""

    store: ResponseStore
    clock: Callable[[], float]
    new_id: Callable[[], str]

    def __call__(self, body: bytes) -> "ResponsesRequest":
        """A `Reader`."""
        return ResponsesRequest(self, request.read(body, self.store), int(self.clock()))


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A request for a response; `created` is when it came, in seconds since the epoch."""

    dialect: Responses
    request: Request
    created: int

    body = None

    @property
    def chat(self) -> Chat:
        return self.request.chat

    @property
    def warnings(self) -> Sequence[str]:
        return self.request.warnings

    @property
    def typed_from(self) -> int:
        return self.request.typed_from

    def render(self, completion: dict[str, Any]) -> dict[str, Any]:
        answer = self.answer()
        answer.take(completion)
        if answer.finish_reason == "error":
            raise ApiError(502, "The model's answer ended with finish_reason 'error'")
        answer.finish()
        self.keep(answer)
        return answer.response(answer.status)

    def encoder(self) -> "ResponsesEncoder":
        return ResponsesEncoder(self)

    def answer(self) -> Answer:
        return Answer(self.request, self.created, self.dialect.new_id)

    def keep(self, answer: Answer) -> None:
        """Remember the conversation, unless the client does so itself."""
        if self.request.given.get("store") is not False:
            self.dialect.store.keep(answer.id, self.request.items, answer.output.items)


class ResponsesEncoder:
    """One streamed response. It begins with the first piece of output: until then it may fail over.

    An answer is kept before its last event is sent: the client may go on at once.
    """

    is_identity = False

    def __init__(self, asked: ResponsesRequest) -> None:
        self._asked = asked
        self._answer = asked.answer()
        self._has_begun = False
        self._number = 0

    def chunk(self, raw: bytes) -> bytes:
        return rewrite(raw, self._take)

    def _take(self, chunk: Json) -> bytes:
        events = self._answer.take(chunk)
        return b"" if self._answer.output.is_empty else self._write(events)

    def done(self) -> bytes:
        answer = self._answer
        events = answer.finish()
        self._asked.keep(answer)
        return self._write([*events, self._state(answer.status)])

    def error(self, error: ApiError) -> bytes:
        return self._write([self._state(FAILED, errors.to_error(error))])

    def keep_alive(self) -> bytes:
        """An event: Codex's idle timer does not heed comments."""
        return self._write([self._state(IN_PROGRESS)] if self._has_begun else [])

    def _write(self, events: list[Json]) -> bytes:
        """The events, behind those that begin the response if it has not begun yet."""
        if not self._has_begun:
            self._has_begun = True
            created = event("response.created", response=self._answer.response(IN_PROGRESS))
            events = [created, self._state(IN_PROGRESS), *events]
        return b"".join(map(self._number_and_write, events))

    def _state(self, status: str, error: Json | None = None) -> Json:
        """The event that tells of the response's own state."""
        return event(f"response.{status}", response=self._answer.response(status, error))

    def _number_and_write(self, event: Json) -> bytes:
        numbered = {**event, "sequence_number": self._number}
        self._number += 1
        return sse.block(jsonio.encode(numbered), event["type"])

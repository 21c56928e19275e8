"""Reads Gemini's responses event by event into the deltas of chat completions.

Streams and complete responses share this code, as a complete response is the sum of its deltas.
Reading is lenient: the service sends more than its reference lists.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backends import jsonio
from backends.errors import ApiError
from backends.jsonio import Json, count, fields, objects, string
from backends.vendors.gemini.request.tools import Toolbox
from backends.vendors.gemini.response import citations, errors, finish, media
from backends.vendors.gemini.response.usage import TokenCounts
from backends.vendors.gemini.signatures import (
    SignatureMemory,
    SignedCall,
    SignedText,
    Span,
    extra_content,
)
from backends.vendors.gemini.wire import Part

EMPTY = "empty_response"
"""The error code of a response without candidates."""

_USABLE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """The facts about a request that reading its response needs."""

    model: str
    """The client's name for the model."""
    created: int
    """In seconds since the epoch."""
    seed: bytes
    """Determines the response id if Gemini sends none."""
    toolbox: Toolbox
    memory: SignatureMemory
    session: str
    generation: str
    """The name of the model's generation."""
    used_ids: frozenset[str]
    """The ids of all calls in the history."""
    is_legacy: bool
    """Whether the client knows `function_call` only."""
    is_single: bool
    """Whether the client wants at most one call."""
    wants_usage: bool
    """Whether the client wants a usage chunk at the end of its stream."""
    on_answered: Callable[[], None]
    """Called once, with the first event that is not an error."""


class Delta(NamedTuple):
    """A part of one choice."""

    choice: int
    """The index of the choice."""
    value: Json
    """In the form of a streamed `delta`."""


class ChoiceEnd(NamedTuple):
    """The end of one choice."""

    choice: int
    """Its index."""
    finish_reason: str
    native: str | None
    """Gemini's finish reason, or its block reason for a blocked prompt."""


@dataclass(slots=True)
class _Choice:
    """The state of one candidate."""

    text: list[str] = field(default_factory=list)
    length: int = 0
    spans: list[Span] = field(default_factory=list)
    calls: int = 0
    reason: str | None = None
    is_blocked: bool = False
    grounding: object = None


class ResponseReader:
    """Reads one response event by event, and remembers signed calls and texts."""

    def __init__(self, context: ResponseContext) -> None:
        self._context = context
        self._choices: dict[int, _Choice] = {}
        self._used_ids = set(context.used_ids)
        self._counts = TokenCounts()
        self._id = ""
        self._readers: Mapping[str, Callable[[int, _Choice, Part], Json | None]] = {
            "text": self._read_text,
            "functionCall": self._read_call,
            "inlineData": self._read_media,
        }

    @property
    def head(self) -> Json:
        """The fields that all chunks share."""
        context = self._context
        return {"id": f"chatcmpl-{self._id}", "created": context.created, "model": context.model}

    @property
    def usage(self) -> Json:
        return self._counts.to_openai()

    def feed(self, event: Json) -> list[Delta]:
        """Read one event or a complete response. Raises ApiError if it reports a failure."""
        if event.get("error"):
            raise errors.to_api_error(event["error"])
        if not self._id:
            self._id = string(event.get("responseId")) or _digest(self._context.seed)
            self._context.on_answered()
        self._counts.update(event.get("usageMetadata"))
        candidates = objects(event.get("candidates"))
        if not candidates:
            return self._read_feedback(event.get("promptFeedback"))
        return [delta for candidate in candidates for delta in self._read(candidate)]

    def finish(self) -> tuple[list[Delta], list[ChoiceEnd]]:
        """Returns the last deltas and the end of each choice. Raises ApiError if there is none."""
        if not self._choices:
            raise ApiError(502, "empty response from Gemini", code=EMPTY)
        deltas = []
        for index, choice in sorted(self._choices.items()):
            text = "".join(choice.text)
            self._keep_text(text, choice)
            if annotations := citations.to_annotations(choice.grounding, text):
                deltas.append(Delta(index, {"annotations": annotations}))
        return deltas, [self._end(*each) for each in sorted(self._choices.items())]

    # Reading

    def _read(self, candidate: Json) -> list[Delta]:
        index = count(candidate.get("index"))
        choice = self._choices.setdefault(index, _Choice())
        choice.reason = string(candidate.get("finishReason")) or choice.reason
        choice.grounding = candidate.get("groundingMetadata") or choice.grounding
        finish.check(choice.reason, candidate.get("finishMessage"))
        deltas = []
        for part in objects(fields(candidate.get("content")).get("parts")):
            # Parts of server-side tools, such as `executableCode`, are dropped.
            kinds = (kind for kind in self._readers if kind in part)
            kind = next(kinds, None)
            if kind and (delta := self._readers[kind](index, choice, part)):
                deltas.append(Delta(index, delta))
        return deltas

    def _read_feedback(self, feedback: Any) -> list[Delta]:
        """A blocked prompt has no candidates (tests/wire/gemini/blocked_prompt)."""
        reason = fields(feedback).get("blockReason")
        if not reason or self._choices:
            return []
        self._choices[0] = _Choice(reason=str(reason), is_blocked=True)
        return [Delta(0, {"refusal": f"Prompt blocked by Gemini: {reason}"})]

    def _read_text(self, index: int, choice: _Choice, part: Part) -> Json | None:
        text = str(part["text"])
        if part.get("thought"):
            return {"reasoning_content": text} if text else None
        choice.text.append(text)
        start, choice.length = choice.length, choice.length + len(text)
        delta: Json = {"content": text} if text else {}
        signature = string(part.get("thoughtSignature"))
        if signature and choice.length:
            choice.spans.append(Span(start, choice.length, signature))
            delta["extra_content"] = extra_content(signature)
        return delta

    def _read_call(self, index: int, choice: _Choice, part: Part) -> Json | None:
        """Each part is a separate call, even if two are equal."""
        context = self._context
        if choice.calls and context.is_single:
            return None
        call = fields(part["functionCall"])
        position, choice.calls = choice.calls, choice.calls + 1
        native, signature = string(call.get("id")), string(part.get("thoughtSignature"))
        id = self._new_id(native, index, position)
        turn = f"{self._id} {index}"
        signed = SignedCall(context.generation, turn, position, native, signature)
        context.memory.keep_call(context.session, id, signed)
        function = self._function(call)
        if context.is_legacy:
            return {"function_call": function}
        kind = "custom" if function["name"] in context.toolbox.custom else "function"
        delta = {"index": position, "id": id, "type": kind, kind: function}
        if signature:
            delta["extra_content"] = extra_content(signature)
        return {"tool_calls": [delta]}

    def _function(self, call: Json) -> Json:
        """The name and arguments for the client. A call without arguments has no `args`."""
        toolbox = self._context.toolbox
        name = toolbox.names.to_client(str(call.get("name")))
        args = fields(call.get("args"))
        if name in toolbox.custom:
            return {"name": name, "input": str(args.get("input", ""))}
        arguments = jsonio.encode(toolbox.from_args(name, args)).decode()
        return {"name": name, "arguments": arguments}

    def _new_id(self, native: str | None, index: int, position: int) -> str:
        """Gemini's id of a call if it is usable and new in this session, else a generated one."""
        id = native if native and _USABLE_ID.fullmatch(native) else None
        number = 0
        while id is None or id in self._used_ids or self._is_known(id):
            id = f"call_{_digest(f'{self._id} {index} {position} {number}'.encode())}"
            number += 1
        self._used_ids.add(id)
        return id

    def _is_known(self, id: str) -> bool:
        return self._context.memory.find_call(self._context.session, id) is not None

    def _read_media(self, index: int, choice: _Choice, part: Part) -> Json | None:
        is_thought = part.get("thought")
        return None if is_thought else media.to_delta(part["inlineData"], f"audio_{self._id}")

    # The end

    def _keep_text(self, text: str, choice: _Choice) -> None:
        context = self._context
        if choice.spans:
            signed = SignedText(context.generation, tuple(choice.spans))
            context.memory.keep_text(context.session, text, signed)

    def _end(self, index: int, choice: _Choice) -> ChoiceEnd:
        if choice.is_blocked:
            return ChoiceEnd(index, "content_filter", choice.reason)
        has_answer = bool(choice.length or choice.calls)
        reason = finish.to_openai(choice.reason, has_answer=has_answer)
        if reason == "stop" and choice.calls:
            reason = "function_call" if self._context.is_legacy else "tool_calls"
        return ChoiceEnd(index, reason, choice.reason)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]

"""Builds the output items of a response from a chat's deltas, and writes their events.

A completion counts as one delta, so it becomes the same items as a stream.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from backends.dialects.responses.events import COMPLETED, IN_PROGRESS, event
from backends.dialects.responses.output_items import (
    Compaction,
    OutputItem,
    Reasoning,
    Refusal,
    Text,
    ToolCallItem,
)
from backends.dialects.responses.tools import Toolbox
from backends.jsonio import Json, objects, string


class Output:
    """Streams items one after another, in the order in which they begin.

    Items that begin before the first one is complete, such as parallel calls, wait.
    `sends_opaque_state`: reasoning gets its `encrypted_content`. `is_compaction`: the model's text
    becomes a compaction item.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        new_id: Callable[[], str],
        *,
        sends_opaque_state: bool,
        is_compaction: bool,
    ) -> None:
        self._toolbox = toolbox
        self._new_id = new_id
        self._sends_opaque_state = sends_opaque_state
        self._text_kind = Compaction if is_compaction else Text
        self._unfinished: deque[OutputItem] = deque()
        self._is_open = False
        self._calls: dict[int, ToolCallItem] = {}
        self.items: list[Json] = []
        """Complete items, all with their opaque state."""

    @property
    def is_empty(self) -> bool:
        """Whether the model has sent nothing yet."""
        return not self.items and not self._unfinished

    @property
    def visible_items(self) -> list[Json]:
        """The complete items as the client gets them."""
        return [self._visible(item) for item in self.items]

    def feed(self, delta: Json, logprobs: list[Json]) -> list[Json]:
        """The events for a delta or a complete message."""
        self._read_reasoning(delta)
        self._read_text(delta, logprobs)
        if refusal := string(delta.get("refusal")):
            self._newest(Refusal).write(refusal)
        for position, call in enumerate(objects(delta.get("tool_calls"))):
            self._read_call(call, position)
        return list(self._emit())

    def finish(self, status: str) -> list[Json]:
        """The events that end the output. Unfinished items get this status."""
        events = []
        while self._unfinished:
            events += [*self._open(), *self._close(status)]
        return events

    # Reading

    def _read_reasoning(self, delta: Json) -> None:
        details = objects(delta.get("reasoning_details"))
        text = string(delta.get("reasoning")) or string(delta.get("reasoning_content"))
        text = text or "".join(map(_text_in, details))
        if text:
            self._newest(Reasoning).write(text)
        if details:
            self._newest(Reasoning).opaque_state.add(details)

    def _read_text(self, delta: Json, logprobs: list[Json]) -> None:
        if text := string(delta.get("content")):
            self._newest(self._text_kind).write(text)
        last = self._unfinished[-1] if self._unfinished else None
        if isinstance(last, Text):
            last.logprobs += logprobs
            last.annotations += map(_flat, objects(delta.get("annotations")))

    def _read_call(self, delta: Json, position: int) -> None:
        """Read a fragment of a call. Some gateways send one index for all calls (issue reports)."""
        index, id = delta.get("index"), string(delta.get("id"))
        index = index if isinstance(index, int) else position
        call = self._calls.get(index)
        if call is None or (id and id != call.call_id):
            call_id = id or f"call_{self._new_id()}"
            if delta.get("extra_content"):
                self._newest(Reasoning).opaque_state.calls[call_id] = delta["extra_content"]
            call = ToolCallItem(self._new_id(), call_id, self._toolbox)
            self._calls[index] = call
            self._unfinished.append(call)
        function = delta.get("function")
        if isinstance(function, dict):
            if not call.is_ready and (name := string(function.get("name"))):
                call.set_name(name)
            call.write(string(function.get("arguments")) or "")

    def _newest[D: OutputItem](self, kind: type[D]) -> D:
        """The newest item if it has this kind, else a new one."""
        last = self._unfinished[-1] if self._unfinished else None
        if not isinstance(last, kind):
            last = kind(self._new_id())
            self._unfinished.append(last)
        return last

    # Writing events

    def _emit(self) -> Iterator[Json]:
        while self._unfinished and self._unfinished[0].is_ready:
            yield from self._open()
            yield from self._unfinished[0].flush()
            if len(self._unfinished) == 1 or not self._unfinished[0].is_complete:
                return
            yield from self._close(COMPLETED)

    def _open(self) -> Iterator[Json]:
        if self._is_open:
            return
        self._is_open = True
        item, index = self._unfinished[0], len(self.items)
        item.open(index)
        visible = self._visible(item.to_json(IN_PROGRESS))
        yield event("response.output_item.added", output_index=index, item=visible)

    def _close(self, status: str) -> Iterator[Json]:
        self._is_open = False
        item, index = self._unfinished.popleft(), len(self.items)
        yield from item.close()
        self.items.append(item.to_json(status))
        visible = self._visible(self.items[-1])
        yield event("response.output_item.done", output_index=index, item=visible)

    def _visible(self, item: Json) -> Json:
        if self._sends_opaque_state or item["type"] != "reasoning":
            return item
        return {name: value for name, value in item.items() if name != "encrypted_content"}


def _text_in(detail: Json) -> str:
    """The readable text in one of OpenRouter's `reasoning_details`."""
    return string(detail.get("text")) or string(detail.get("summary")) or ""


def _flat(annotation: Json) -> Json:
    """`{"type": "url_citation", "url_citation": {...}}` without the inner object."""
    kind = str(annotation.get("type"))
    inner: Any = annotation.get(kind)
    return {"type": kind, **inner} if isinstance(inner, dict) else annotation

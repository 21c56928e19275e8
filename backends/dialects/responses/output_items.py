"""Output items under construction, and the events they emit."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from backends import jsonio
from backends.dialects.opaque_state import OpaqueState
from backends.dialects.responses import compaction
from backends.dialects.responses.events import REFUSAL, SUMMARY, TEXT, TextEvents, event
from backends.dialects.responses.tools import Toolbox
from backends.jsonio import Json


class OutputItem(ABC):
    """One item. Its user opens it, flushes it after each change, and closes it."""

    events: TextEvents | None = None

    def __init__(self, id: str) -> None:
        self.id = id
        self._position: Json = {}
        self._unsent: list[str] = []
        self._surrogate = ""
        self._sent: list[str] = []

    @property
    def is_ready(self) -> bool:
        """Whether enough is known to open it."""
        return True

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow once another item has begun."""
        return True

    @property
    def text(self) -> str:
        """The text that events have sent."""
        return "".join(self._sent)

    @abstractmethod
    def to_json(self, status: str) -> Json:
        """The item with the text so far."""

    def write(self, text: str) -> None:
        self._unsent.append(text)

    def open(self, index: int) -> None:
        """Set its index among the items."""
        self._position = {"item_id": self.id, "output_index": index}
        if self.events and self.events.index_field:
            self._position[self.events.index_field] = 0

    def flush(self, *, is_last: bool = False) -> Iterator[Json]:
        """The events for new text. A high surrogate waits for its low one."""
        text = self._surrogate + self._decode("".join(self._unsent), is_last=is_last)
        self._unsent.clear()
        self._surrogate = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" and not is_last else ""
        text = text[: len(text) - len(self._surrogate)]
        if not text:
            return
        self._sent.append(text)
        if not self.events:
            return
        if self.events.part and len(self._sent) == 1:
            yield event(f"{self.events.part}.added", **self._position, part=self._part(""))
        yield event(f"{self.events.prefix}.delta", **self._position, delta=text, **self._extra(""))

    def close(self) -> Iterator[Json]:
        """The events for the rest, and for the complete text."""
        yield from self.flush(is_last=True)
        if not self.events or (self.events.part and not self._sent):
            return
        text = self.text
        yield from self._annotation_events()
        fields = {self.events.field: text, **self._extra(text)}
        yield event(f"{self.events.prefix}.done", **self._position, **fields)
        if self.events.part:
            yield event(f"{self.events.part}.done", **self._position, part=self._part(text))

    def _decode(self, text: str, *, is_last: bool) -> str:
        return text

    def _part(self, text: str) -> Json:
        """The part that contains a text."""
        return {}

    def _extra(self, text: str) -> Json:
        """More fields of the events with a text."""
        return {}

    def _annotation_events(self) -> Iterator[Json]:
        """Events for the annotations of the text."""
        return iter(())


class Reasoning(OutputItem):
    """Visible reasoning, and the opaque state of the turn."""

    events = SUMMARY

    def __init__(self, id: str) -> None:
        super().__init__(f"rs_{id}")
        self.opaque_state = OpaqueState()

    def to_json(self, status: str) -> Json:
        item = {
            "type": "reasoning",
            "id": self.id,
            "summary": [self._part(self.text)] if self._sent else [],
        }
        state = self.opaque_state.seal()
        return {**item, "encrypted_content": state} if state else item

    def _part(self, text: str) -> Json:
        return {"type": "summary_text", "text": text}


class _Message(OutputItem):
    """A message with one part."""

    def __init__(self, id: str) -> None:
        super().__init__(f"msg_{id}")

    def to_json(self, status: str) -> Json:
        content = [self._part(self.text)] if self._sent else []
        return {
            "type": "message",
            "id": self.id,
            "status": status,
            "role": "assistant",
            "content": content,
        }


class Text(_Message):
    """The model's text. `annotations` have the flat form of this API."""

    events = TEXT

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.annotations: list[Json] = []
        self.logprobs: list[Json] = []

    def _part(self, text: str) -> Json:
        annotations = self.annotations if text else []
        return {
            "type": "output_text",
            "text": text,
            "annotations": annotations,
            **self._extra(text),
        }

    def _extra(self, text: str) -> Json:
        return {"logprobs": self.logprobs if text else []}

    def _annotation_events(self) -> Iterator[Json]:
        for index, annotation in enumerate(self.annotations):
            yield event(
                "response.output_text.annotation.added",
                **self._position,
                annotation_index=index,
                annotation=annotation,
            )


class Refusal(_Message):
    events = REFUSAL

    def _part(self, text: str) -> Json:
        return {"type": "refusal", "refusal": text}


class Compaction(OutputItem):
    """A summary of the history, packed for the client."""

    def __init__(self, id: str) -> None:
        super().__init__(f"cmp_{id}")

    def to_json(self, status: str) -> Json:
        return compaction.to_item(self.id, self.text)


class ToolCallItem(OutputItem):
    """A call of a client's tool. The type of the item depends on the tool's name."""

    def __init__(self, id: str, call_id: str, toolbox: Toolbox) -> None:
        super().__init__(id)
        self.call_id = call_id
        self._new_id = id
        self._toolbox = toolbox
        self._arguments: list[str] = []
        self._is_named = False
        self.set_name("")

    def set_name(self, name: str) -> None:
        """Choose the tool by its name in the chat."""
        self._is_named = bool(name)
        self._tool = self._toolbox.find(name)
        self.id = f"{self._tool.kind.id_prefix}_{self._new_id}"
        self.events = self._tool.kind.events
        self._decoder = self._tool.kind.decoder()

    @property
    def is_ready(self) -> bool:
        return self._is_named

    @property
    def is_complete(self) -> bool:
        """Nothing can follow a complete JSON object."""
        arguments = "".join(self._arguments).rstrip()
        if not arguments.endswith("}"):
            return False
        try:
            jsonio.decode(arguments.encode("utf-8", "surrogatepass"))
        except ValueError:
            return False
        return True

    def write(self, text: str) -> None:
        super().write(text)
        self._arguments.append(text)

    def to_json(self, status: str) -> Json:
        return self._tool.item(self.id, self.call_id, self.text, status)

    def _decode(self, text: str, *, is_last: bool) -> str:
        if self._decoder is None:
            return text
        return self._decoder.feed(text) + (self._decoder.finish() if is_last else "")

"""The items of an answer while they are written, and the events that tell of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from backends import jsonio
from backends.dialects.opaque_state import Carried
from backends.dialects.responses import compaction
from backends.dialects.responses.events import REFUSAL, SUMMARY, TEXT, Channel, event
from backends.dialects.responses.tools import Toolbox
from backends.jsonio import Json


class Draft(ABC):
    """One item. It is opened, flushed after each change, and closed.

    `is_ready`: known well enough to be opened. `is_whole`: nothing will come for it any more, once
    something else has begun.
    """

    channel: Channel | None = None

    def __init__(self, id: str) -> None:
        self.id = id
        self._place: Json = {}
        self._unsent: list[str] = []
        self._half = ""
        self._sent: list[str] = []

    @property
    def is_ready(self) -> bool:
        return True

    @property
    def is_whole(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """What the client has seen of it."""
        return "".join(self._sent)

    @abstractmethod
    def item(self, status: str) -> Json:
        """The item with the text so far."""

    def write(self, text: str) -> None:
        self._unsent.append(text)

    def open(self, index: int) -> None:
        """Takes its place among the items."""
        self._place = {"item_id": self.id, "output_index": index}
        if self.channel and self.channel.place:
            self._place[self.channel.place] = 0

    def flush(self, *, is_last: bool = False) -> Iterator[Json]:
        """Tell of what was written. Half a surrogate pair waits for the other one."""
        text = self._half + self._decode("".join(self._unsent), is_last=is_last)
        self._unsent.clear()
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" and not is_last else ""
        text = text[: len(text) - len(self._half)]
        if not text:
            return
        self._sent.append(text)
        if not self.channel:
            return
        if self.channel.part and len(self._sent) == 1:
            yield event(f"{self.channel.part}.added", **self._place, part=self._part(""))
        yield event(f"{self.channel.event}.delta", **self._place, delta=text, **self._beside(""))

    def close(self) -> Iterator[Json]:
        """Tell of the rest, and of the whole."""
        yield from self.flush(is_last=True)
        if not self.channel or (self.channel.part and not self._sent):
            return
        text = self.text
        yield from self._notes()
        whole = {self.channel.field: text, **self._beside(text)}
        yield event(f"{self.channel.event}.done", **self._place, **whole)
        if self.channel.part:
            yield event(f"{self.channel.part}.done", **self._place, part=self._part(text))

    def _decode(self, text: str, *, is_last: bool) -> str:
        return text

    def _part(self, text: str) -> Json:
        """The part that holds a text."""
        return {}

    def _beside(self, text: str) -> Json:
        """What the events of a text tell beside it."""
        return {}

    def _notes(self) -> Iterator[Json]:
        """Events about the text as a whole."""
        return iter(())


class Reasoning(Draft):
    """Thoughts, as far as they are shown, and what the chat carries along with them."""

    channel = SUMMARY

    def __init__(self, id: str) -> None:
        super().__init__(f"rs_{id}")
        self.carried = Carried()

    def item(self, status: str) -> Json:
        item = {
            "type": "reasoning",
            "id": self.id,
            "summary": [self._part(self.text)] if self._sent else [],
        }
        sealed = self.carried.seal()
        return {**item, "encrypted_content": sealed} if sealed else item

    def _part(self, text: str) -> Json:
        return {"type": "summary_text", "text": text}


class _Message(Draft):
    """A message of one part."""

    def __init__(self, id: str) -> None:
        super().__init__(f"msg_{id}")

    def item(self, status: str) -> Json:
        content = [self._part(self.text)] if self._sent else []
        return {
            "type": "message",
            "id": self.id,
            "status": status,
            "role": "assistant",
            "content": content,
        }


class Text(_Message):
    """`annotations` have the flat form of this API."""

    channel = TEXT

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
            **self._beside(text),
        }

    def _beside(self, text: str) -> Json:
        return {"logprobs": self.logprobs if text else []}

    def _notes(self) -> Iterator[Json]:
        for index, annotation in enumerate(self.annotations):
            yield event(
                "response.output_text.annotation.added",
                **self._place,
                annotation_index=index,
                annotation=annotation,
            )


class Refusal(_Message):
    channel = REFUSAL

    def _part(self, text: str) -> Json:
        return {"type": "refusal", "refusal": text}


class Compaction(Draft):
    """A summary of the history, which the client gets sealed."""

    def __init__(self, id: str) -> None:
        super().__init__(f"cmp_{id}")

    def item(self, status: str) -> Json:
        return compaction.to_item(self.id, self.text)


class Call(Draft):
    """A call of one of the client's tools; only its name tells what kind of item it is."""

    def __init__(self, id: str, call_id: str, toolbox: Toolbox) -> None:
        super().__init__(id)
        self.call_id = call_id
        self._new_id = id
        self._toolbox = toolbox
        self._arguments: list[str] = []
        self._is_named = False
        self.set_name("")

    def set_name(self, name: str) -> None:
        """The name in the chat."""
        self._is_named = bool(name)
        self._tool = self._toolbox.find(name)
        self.id = f"{self._tool.form.prefix}_{self._new_id}"
        self.channel = self._tool.form.channel
        self._decoder = self._tool.form.decoder()

    @property
    def is_ready(self) -> bool:
        return self._is_named

    @property
    def is_whole(self) -> bool:
        """Behind a whole JSON object nothing can follow."""
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

    def item(self, status: str) -> Json:
        return self._tool.item(self.id, self.call_id, self.text, status)

    def _decode(self, text: str, *, is_last: bool) -> str:
        if self._decoder is None:
            return text
        return self._decoder.feed(text) + (self._decoder.finish() if is_last else "")

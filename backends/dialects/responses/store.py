"""Answers that were given, for requests that name one instead of repeating the conversation."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from backends import jsonio
from backends.jsonio import Json, string


@dataclass(frozen=True, slots=True)
class _Conversation:
    """`items` are the whole conversation's, `output` those of the answer."""

    items: list[Json]
    output: list[Json]
    size: int


class ResponseStore:
    """In memory; beyond its bounds what was not used for longest goes.

    Conversations that go on share their items, so that the bytes are counted on the safe side.
    """

    def __init__(self, max_responses: int = 1000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._bytes = 0
        self._conversations: OrderedDict[str, _Conversation] = OrderedDict()
        self._responses: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._conversations)

    def keep(self, id: str, items: Sequence[Json], output: Sequence[Json]) -> None:
        """Remember an answer, `output`, and all that was said before it, `items`."""
        every = [*items, *output]
        kept = _Conversation(every, list(output), len(jsonio.encode(every)))
        self._conversations[id] = kept
        self._bytes += kept.size
        self._responses |= {item["id"]: id for item in output}
        while len(self) > self._max_responses or self._bytes > self._max_bytes:
            self._forget_one()

    def find(self, id: str) -> list[Json] | None:
        """A conversation, by the id of the answer that ends it."""
        if id not in self._conversations:
            return None
        self._conversations.move_to_end(id)
        return self._conversations[id].items

    def find_item(self, id: object) -> Json | None:
        """An item of an answer."""
        response = self._responses.get(string(id) or "")
        if response is None:
            return None
        self._conversations.move_to_end(response)
        return next(item for item in self._conversations[response].output if item["id"] == id)

    def _forget_one(self) -> None:
        _, oldest = self._conversations.popitem(last=False)
        self._bytes -= oldest.size
        for item in oldest.output:
            del self._responses[item["id"]]

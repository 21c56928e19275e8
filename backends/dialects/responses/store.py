"""Stores responses for requests that name one instead of repeating the conversation."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from backends import jsonio
from backends.jsonio import Json, string


@dataclass(frozen=True, slots=True)
class _Conversation:
    items: list[Json]
    """All items, including the output."""
    output: list[Json]
    """The items of the response."""
    size: int
    """Bytes of `items` as JSON."""


class ResponseStore:
    """An LRU store in memory, bounded by responses and bytes.

    Items that conversations share count several times, so the bound is on the safe side.
    """

    def __init__(self, max_responses: int = 1000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._bytes = 0
        self._conversations: OrderedDict[str, _Conversation] = OrderedDict()
        self._items: dict[str, tuple[str, Json]] = {}
        """Items of responses by their ids, with the ids of the responses."""

    def __len__(self) -> int:
        return len(self._conversations)

    def keep(self, id: str, items: Sequence[Json], output: Sequence[Json]) -> None:
        """Store a response's `output`, and `items`, the conversation before it."""
        all_items = [*items, *output]
        conversation = _Conversation(all_items, list(output), len(jsonio.encode(all_items)))
        self._conversations[id] = conversation
        self._bytes += conversation.size
        self._items |= {item["id"]: (id, item) for item in output}
        while len(self) > self._max_responses or self._bytes > self._max_bytes:
            self._forget_one()

    def find(self, id: str) -> list[Json] | None:
        """The conversation that ends with the response of this id."""
        if id not in self._conversations:
            return None
        self._conversations.move_to_end(id)
        return self._conversations[id].items

    def find_item(self, id: object) -> Json | None:
        """An item of a stored response."""
        response, item = self._items.get(string(id) or "", (None, None))
        if response is not None:
            self._conversations.move_to_end(response)
        return item

    def _forget_one(self) -> None:
        _, oldest = self._conversations.popitem(last=False)
        self._bytes -= oldest.size
        for item in oldest.output:
            del self._items[item["id"]]

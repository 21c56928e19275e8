"""A note of the proxy in front of a model's text, whole or streamed."""

import re
from typing import Any

from backends import jsonio, sse

# A delta with text. Cheap to look for, so that a long stretch of reasoning is not parsed for it.
_HAS_TEXT = re.compile(rb'"content"\s*:\s*"(?!")')


class Note:
    """`text` is to be shown once. `is_placed` says whether an answer had a place for it.

    An answer of tool calls alone has none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_placed = False

    def event_before(self, block: bytes) -> bytes | None:
        """The event to send ahead of this one, if it is the first with text."""
        if not _HAS_TEXT.search(block):
            return None
        try:
            chunk = jsonio.decode(sse.data_of(block) or b"")
            choice = chunk["choices"][0]
            has_text = bool(choice["delta"]["content"])
        except (ValueError, LookupError, TypeError):
            return None
        if not has_text:
            return None
        self.is_placed = True
        head = {key: value for key, value in chunk.items() if key not in ("choices", "usage")}
        delta = {"role": "assistant", "content": f"{self.text}\n\n"}
        choices = [{"index": choice.get("index", 0), "delta": delta, "finish_reason": None}]
        return sse.block(jsonio.encode({**head, "choices": choices}))

    def prepend_to(self, completion: dict[str, Any]) -> bool:
        """Put it in front of the first choice's text, in place; False if there is no text."""
        try:
            message = completion["choices"][0]["message"]
            text = message["content"]
        except (LookupError, TypeError):
            return False
        if not isinstance(text, str) or not text:
            return False
        message["content"] = f"{self.text}\n\n{text}"
        self.is_placed = True
        return True

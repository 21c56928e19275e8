"""Puts a note from the proxy before the model's text, in a completion or a stream."""

import re
from typing import Any

from backends import jsonio, sse

# A delta with text. This quick search avoids parsing long stretches of reasoning.
_HAS_TEXT = re.compile(rb'"content"\s*:\s*"(?!")')


class Note:
    """A text to show once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_placed = False
        """Whether a response contains it. Tool calls alone cannot."""

    def event_before(self, block: bytes) -> bytes | None:
        """The event to send before this one if it has text, else None."""
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
        """Put it before the first choice's text, in place. Returns False if there is no text."""
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

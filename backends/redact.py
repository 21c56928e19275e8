"""Known secrets out of text that people or other machines will see."""

import re
from collections.abc import Iterable

from backends.keys import Key

PLACEHOLDER = "(API_KEY_HAS_BEEN_REDACTED)"


class Redactor:
    """Replaces the values of the given keys, the longest first: one may be part of another."""

    def __init__(self, keys: Iterable[Key]) -> None:
        values = sorted({key.value for key in keys}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, values))) if values else None

    def scrub(self, text: str) -> str:
        """`text` with every secret in it replaced."""
        return self._pattern.sub(PLACEHOLDER, text) if self._pattern else text

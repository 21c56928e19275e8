"""Known secrets out of text that people or other machines will see."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from backends.keys import Key
from backends.openai_wire import Chat

PLACEHOLDER = "(API_KEY_HAS_BEEN_REDACTED)"

_WORDS_OF_THE_WIRE = frozenset({"role", "type"})
"""Fields whose values the API lists: a key that is such a word must not break the request."""

_ENCODED_IN = frozenset({"url", "image_url", "data", "file_data"})
_ENCODED = re.compile(r"(?:data:[^,]{0,200};base64,)?[A-Za-z0-9+/]{256}")
"""How an image or a file begins: no text, but a short key may occur in it by chance."""

_BACKSLASHES = r"\\{1,8}"
"""What JSON puts before an escaped character, for text that was put into JSON up to four times."""


class Redactor:
    """Replaces the values of the given keys, the longest first: one may be part of another.

    Also where JSON has escaped some of their characters.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        names = {key.value: key.name for key in keys}
        self._values = sorted(names, key=len, reverse=True)
        self._names = [names[value] for value in self._values]
        spellings = (f"({''.join(map(_any_spelling, value))})" for value in self._values)
        self._pattern = re.compile("|".join(spellings) or "(?!)")
        self._signs_of_escapes = ["\\u00"]
        if any(character in value for value in self._values for character in "\\/\"'"):
            self._signs_of_escapes.append("\\")
        self._signs = (*self._values, *self._signs_of_escapes)
        self._signs_in_bytes = tuple(sign.encode("utf-8", "surrogatepass") for sign in self._signs)

    def scrub(self, text: str) -> str:
        """`text` with every secret in it replaced."""
        return self._scrub(text, set())

    def may_be_in(self, data: bytes) -> bool:
        """Whether it is worth looking closely; a quick look at text in UTF-8."""
        return any(sign in data for sign in self._signs_in_bytes)

    def scrub_bytes(self, data: bytes) -> bytes:
        """`scrub` for text in UTF-8 or what is near it; the very same bytes if they are clean."""
        if not self.may_be_in(data):
            return data
        text = data.decode("utf-8", "surrogateescape")
        clean = self._scrub(text, set())
        return data if clean is text else clean.encode("utf-8", "surrogateescape")

    def scrub_chat(self, chat: Chat) -> tuple[Chat, list[str]]:
        """The request with every secret in its texts replaced, and the names of the keys found.

        It is the same object if there are none, else a copy as far as it differs. Images, audio
        and files stay as they are.
        """
        found: set[str] = set()
        root = _Place(None, None, chat)
        places = [root]
        while places:
            place = places.pop()
            for key, value in _items(place.value):
                if isinstance(value, dict | list):
                    places.append(_Place(place, key, value))
                elif isinstance(value, str) and not _is_no_text(key, value):
                    clean = self._scrub(value, found)
                    if clean is not value:
                        place.copied()[key] = clean
        return (chat if root.copy is None else root.copy), sorted(found)

    def _scrub(self, text: str, found: set[str]) -> str:
        """`scrub`; the very same text if it is clean. Adds the names of the keys to `found`."""
        # Searching for a plain word is many times as fast as the pattern.
        if not any(sign in text for sign in self._signs):
            return text

        def replace(match: re.Match[str]) -> str:
            found.add(self._names[(match.lastindex or 0) - 1])
            return PLACEHOLDER

        clean, count = self._pattern.subn(replace, text)
        return clean if count else text


@dataclass(slots=True)
class _Place:
    """A container within a request: what holds it, under which key, and its copy once it differs.

    An explicit chain, since a request may be nested deeper than Python's stack.
    """

    parent: "_Place | None"
    key: Any
    value: Any
    copy: Any = None

    def copied(self) -> Any:
        """The copy, linked into copies of all that holds it."""
        chain = []
        place: _Place | None = self
        while place and place.copy is None:
            chain.append(place)
            place = place.parent
        for place in reversed(chain):
            place.copy = place.value.copy()
            if place.parent:
                place.parent.copy[place.key] = place.copy
        return self.copy


def _items(container: Any) -> Iterator[tuple[Any, Any]]:
    return iter(container.items() if isinstance(container, dict) else enumerate(container))


def _is_no_text(key: object, value: str) -> bool:
    return key in _WORDS_OF_THE_WIRE or (key in _ENCODED_IN and bool(_ENCODED.match(value)))


def _any_spelling(character: str) -> str:
    """A pattern for a character as it is, or as JSON writes it."""
    code = f"{_BACKSLASHES}u00(?i:{ord(character):02x})"
    if character == "\\":
        return f"(?:{_BACKSLASHES}u00(?i:5c)|{_BACKSLASHES})"
    if character in "/\"'":
        return rf"(?:(?:{_BACKSLASHES})?{re.escape(character)}|{code})"
    return f"(?:{re.escape(character)}|{code})"

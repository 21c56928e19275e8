"""Replaces known secrets in text that people or other machines will see."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from backends.backend import Headers
from backends.keys import Key
from backends.openai_wire import Chat

PLACEHOLDER = "(API_KEY_HAS_BEEN_REDACTED)"

_ENUM_FIELDS = frozenset({"role", "type"})
"""Fields with values from a fixed list. A key equal to such a word must not break the request."""

_PROTOCOL_NAME = re.compile(r"[A-Za-z_$]{1,32}")
"""What the names of fields in the protocol look like. A key may be part of such a word, too."""

_ENCODED_IN = frozenset({"url", "image_url", "data", "file_data"})
_ENCODED = re.compile(r"(?:data:[^,]{0,200};base64,)?[A-Za-z0-9+/]{256,}")
"""How an image or a file begins. It is not text, but may contain a short key by chance."""
_LONG = 16
"""Characters of a key that no image contains by chance."""

_BACKSLASHES = r"\\{1,8}"
"""What precedes an escaped character in text that was encoded as JSON up to four times."""


class Redactor:
    """Replaces the values of the given keys, also where JSON escaped some of their characters.

    Longer values come first, because one may be part of another.
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
        """Whether text in UTF-8 may contain a secret. A quick check with false positives."""
        return any(sign in data for sign in self._signs_in_bytes)

    def scrub_bytes(self, data: bytes) -> bytes:
        """`scrub` for text in (nearly) UTF-8. Returns the same object if there is no secret."""
        if not self.may_be_in(data):
            return data
        text = data.decode("utf-8", "surrogateescape")
        clean = self._scrub(text, set())
        return data if clean is text else clean.encode("utf-8", "surrogateescape")

    def scrub_chat(self, chat: Chat) -> tuple[Chat, list[str]]:
        """Replace every secret in the request's texts; also returns the names of the keys found.

        Returns the same object if there are none, else a copy that shares the unchanged parts.
        Images, audio and files stay unchanged unless they contain a long key.
        """
        found: set[str] = set()
        renamed: list[_Node] = []
        root = _Node(None, None, chat)
        nodes = [root]
        while nodes:
            node = nodes.pop()
            for key, value in _items(node.value):
                if isinstance(value, dict | list):
                    nodes.append(_Node(node, key, value))
                elif (
                    isinstance(value, str) and key not in _ENUM_FIELDS and self._may_contain(value)
                ):
                    clean = self._scrub(value, found, _encoded_length(key, value))
                    if clean is not value:
                        node.copied()[key] = clean
            if self._has_secret_names(node.value):
                renamed.append(node)
        for node in renamed:
            named = [
                (self._clean_name(name, found), value) for name, value in node.copied().items()
            ]
            node.copy.clear()
            node.copy.update(named)
        return (chat if root.copy is None else root.copy), sorted(found)

    def scrub_headers(self, headers: Headers) -> Headers:
        """The headers with every secret in their values replaced, without those named by one."""
        return [(name, self.scrub(value)) for name, value in headers if self.scrub(name) is name]

    def _may_contain(self, text: str) -> bool:
        """Whether a text may contain a secret. Many times faster than the pattern."""
        return any(sign in text for sign in self._signs)

    def _has_secret_names(self, value: Any) -> bool:
        names = value if isinstance(value, dict) else ()
        return any(self._clean_name(name, set()) is not name for name in names)

    def _clean_name(self, name: str, found: set[str]) -> str:
        return name if _PROTOCOL_NAME.fullmatch(name) else self._scrub(name, found)

    def _scrub(self, text: str, found: set[str], encoded_length: int = 0) -> str:
        """`scrub`; returns the same object if clean. Adds the names of the keys to `found`.

        Short keys within the first `encoded_length` characters stay.
        """
        if not self._may_contain(text):
            return text

        def replace(match: re.Match[str]) -> str:
            if match.end() <= encoded_length and len(match[0]) < _LONG:
                return match[0]
            found.add(self._names[(match.lastindex or 0) - 1])
            return PLACEHOLDER

        clean = self._pattern.sub(replace, text)
        return text if clean == text else clean


@dataclass(slots=True)
class _Node:
    """A container within a request. Explicit, because nesting may exceed Python's stack."""

    parent: "_Node | None"
    key: Any
    """Where `parent` has it."""
    value: Any
    copy: Any = None
    """Made at the first change."""

    def copied(self) -> Any:
        """The copy, linked into copies of its parents."""
        chain = []
        node: _Node | None = self
        while node and node.copy is None:
            chain.append(node)
            node = node.parent
        for node in reversed(chain):
            node.copy = node.value.copy()
            if node.parent:
                node.parent.copy[node.key] = node.copy
        return self.copy


def _items(container: Any) -> Iterator[tuple[Any, Any]]:
    return iter(container.items() if isinstance(container, dict) else enumerate(container))


def _encoded_length(key: object, value: str) -> int:
    """How many characters at the start of a field's value are an image or a file."""
    encoded = _ENCODED.match(value) if key in _ENCODED_IN else None
    return encoded.end() if encoded else 0


def _any_spelling(character: str) -> str:
    """A pattern for a character, plain or escaped by JSON."""
    code = f"{_BACKSLASHES}u00(?i:{ord(character):02x})"
    if character == "\\":
        return f"(?:{_BACKSLASHES}u00(?i:5c)|{_BACKSLASHES})"
    if character in "/\"'":
        return rf"(?:(?:{_BACKSLASHES})?{re.escape(character)}|{code})"
    return f"(?:{re.escape(character)}|{code})"

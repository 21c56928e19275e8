"""Decodes the text for a free-text tool from JSON arguments, also while they stream.

A chat has functions only, so the text travels as `{"input": "..."}`.
"""

import json
import re

from backends import jsonio

INPUT = "input"
"""The name of the one argument."""

_START = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_HIGH = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_DECODABLE = re.compile(
    rf'(?:[^"\\]++|\\[^u]|(?!{_HIGH})\\u[0-9a-fA-F]{{4}}|{_HIGH}{_LOW}'
    # A high surrogate waits until the next characters show whether a low one follows.
    rf"|{_HIGH}(?=[^\\]|\\[^u]|(?!{_LOW})\\u[0-9a-fA-F]{{4}}))*+",
    re.DOTALL,
)


def to_arguments(text: str) -> str:
    return jsonio.encode({INPUT: text}).decode()


class FreeTextDecoder:
    """Decodes the arguments of one call."""

    def __init__(self) -> None:
        self._rest = ""
        self._has_started = False

    def feed(self, arguments: str) -> str:
        """The text that this fragment of the arguments adds."""
        self._rest += arguments
        if not self._has_started:
            start = _START.match(self._rest)
            if not start:
                return ""
            self._has_started = True
            self._rest = self._rest[start.end() :]
        known = _DECODABLE.match(self._rest)
        assert known
        self._rest = self._rest[known.end() :]
        return _unescape(known[0])

    def finish(self) -> str:
        """The rest of the text; all of it if the arguments have an unexpected form."""
        if self._has_started:
            return ""
        try:
            value = jsonio.decode(self._rest.encode("utf-8", "surrogatepass"))
        except ValueError:
            return self._rest
        if isinstance(value, dict):
            value = value.get(INPUT, next(iter(value.values()), "") if len(value) < 2 else None)
        return value if isinstance(value, str) else self._rest


def _unescape(escaped: str) -> str:
    try:
        return str(json.loads(f'"{escaped}"', strict=False))
    except ValueError:
        return escaped

"""What a chat's answer holds for the next request, in the `encrypted_content` of items.

In the chat form a client carries it in unknown fields of messages. In this API it has one place: a
string that clients keep and never look into.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

from backends import jsonio
from backends.jsonio import Json, objects

_OURS = "llm-proxy-1."
"""Tells our strings from those of OpenAI's own, which nobody but OpenAI can read."""

_GROWING = frozenset({"reasoning.text", "reasoning.summary"})
_GROWING_FIELDS = ("text", "summary")


@dataclass(slots=True)
class OpaqueState:
    """`details` are OpenRouter's `reasoning_details`.

    `calls` are the `extra_content` of tool calls by their ids, which has Gemini's signatures.
    """

    details: list[Json] = field(default_factory=list)
    calls: dict[str, Any] = field(default_factory=dict)

    def add(self, details: list[Json]) -> None:
        """More details, as a message or a delta has them; a delta's first may go on with ours."""
        if details and self.details and _goes_on(self.details[-1], details[0]):
            self.details[-1] = _join(self.details[-1], details[0])
            details = details[1:]
        self.details += details

    def seal(self) -> str | None:
        """None if there is nothing to carry."""
        if not self.details and not self.calls:
            return None
        return pack({"details": self.details, "calls": self.calls})


def unseal(sealed: object) -> OpaqueState | None:
    """What `seal` made; None for anything else."""
    value = unpack(sealed)
    if value is None:
        return None
    calls = value.get("calls")
    return OpaqueState(objects(value.get("details")), calls if isinstance(calls, dict) else {})


def pack(value: Json) -> str:
    """An object as a string to be kept by a client."""
    return _OURS + base64.b64encode(jsonio.encode(value)).decode()


def unpack(packed: object) -> Json | None:
    """What `pack` was given; None for anything else, such as OpenAI's own."""
    if not isinstance(packed, str) or not packed.startswith(_OURS):
        return None
    try:
        value = jsonio.decode(base64.b64decode(packed.removeprefix(_OURS), validate=True))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _goes_on(last: Json, fragment: Json) -> bool:
    """Whether two are pieces of one: OpenRouter streams a text under one index (issue reports)."""
    return last.get("type") in _GROWING and all(
        last.get(name) == fragment.get(name) for name in ("type", "index")
    )


def _join(last: Json, fragment: Json) -> Json:
    joined = {**last, **{name: value for name, value in fragment.items() if value is not None}}
    for name in _GROWING_FIELDS:
        pieces = [each[name] for each in (last, fragment) if isinstance(each.get(name), str)]
        if pieces:
            joined[name] = "".join(pieces)
    return joined

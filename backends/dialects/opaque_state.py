"""Packs a model's state for the next request into the `encrypted_content` of items.

A chat carries this state in unknown fields of messages. The Responses API has one string for
it, which clients return unread.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

from backends import jsonio
from backends.jsonio import Json, objects

_OURS = "llm-proxy-1."
"""Marks strings of the proxy. Only OpenAI can read its own."""

_GROWING = frozenset({"reasoning.text", "reasoning.summary"})
_GROWING_FIELDS = ("text", "summary")


@dataclass(slots=True)
class OpaqueState:
    """State that a response hands to the next request."""

    details: list[Json] = field(default_factory=list)
    """OpenRouter's `reasoning_details`."""
    calls: dict[str, Any] = field(default_factory=dict)
    """The `extra_content` of tool calls, by call id. It contains Gemini's signatures."""

    def add(self, details: list[Json]) -> None:
        """Add the details of a message or a delta. The first may continue the last one."""
        if details and self.details and _continues(self.details[-1], details[0]):
            self.details[-1] = _join(self.details[-1], details[0])
            details = details[1:]
        self.details += details

    def seal(self) -> str | None:
        """The state as a string; None if it is empty."""
        if not self.details and not self.calls:
            return None
        return pack({"details": self.details, "calls": self.calls})


def unseal(sealed: object) -> OpaqueState | None:
    """The state in a string from `seal`; None for anything else."""
    value = unpack(sealed)
    if value is None:
        return None
    calls = value.get("calls")
    return OpaqueState(objects(value.get("details")), calls if isinstance(calls, dict) else {})


def pack(value: Json) -> str:
    """An object as a string for a client to keep."""
    return _OURS + base64.b64encode(jsonio.encode(value)).decode()


def unpack(packed: object) -> Json | None:
    """The object in a string from `pack`; None for anything else, such as OpenAI's own."""
    if not isinstance(packed, str) or not packed.startswith(_OURS):
        return None
    try:
        value = jsonio.decode(base64.b64decode(packed.removeprefix(_OURS), validate=True))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _continues(last: Json, fragment: Json) -> bool:
    """Whether both belong to one text: OpenRouter streams it under one index (issue reports)."""
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

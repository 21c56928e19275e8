"""API keys: reads them from variables and keeps their values out of reprs."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_KEYS = 20
"""Limit of numbered keys a backend; it exposes mistyped numbers."""

MIN_LENGTH = 8
"""Keys are redacted from prompts and logs, where shorter strings occur by chance."""


class InvalidKey(ValueError):
    """An unusable key. `name` is its variable or flag; `reason` never contains its value."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Key:
    """A secret, and its name in logs and errors, such as `OPENROUTER_API_KEY_2`.

    Raises InvalidKey if a header cannot carry the value.
    """

    name: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[!-~]+", self.value):
            raise InvalidKey(self.name, "must be one word of printable ASCII characters")

    def proof(self, nonce: str) -> str:
        """What shows whoever has chosen `nonce` that we know the key, without showing it: hex."""
        message = f"llm-proxy {nonce}".encode("utf-8", "surrogatepass")
        return hmac.digest(self.value.encode(), message, "sha256").hex()


def read_key(name: str, variables: Mapping[str, str]) -> Key | None:
    """The key in the variable `name`; None if it is not set. Raises InvalidKey."""
    if name not in variables:
        return None
    key = Key(name, variables[name])
    if len(key.value) < MIN_LENGTH:
        raise InvalidKey(name, f"must have at least {MIN_LENGTH} characters")
    return key


def read_keys(name: str, variables: Mapping[str, str]) -> tuple[Key, ...]:
    """The key in the variable `name`, or those in `name_1` to `name_20`, in order.

    Raises InvalidKey, also if both forms are set: their order would be a guess.
    """
    numbered = [f"{name}_{number}" for number in range(1, MAX_KEYS + 1)]
    for variable in variables:
        if re.fullmatch(rf"{name}_[0-9]+", variable) and variable not in numbered:
            raise InvalidKey(variable, f"keys are numbered from 1 to {MAX_KEYS}")
    found = [variable for variable in (name, *numbered) if variable in variables]
    if name in found and len(found) > 1:
        raise InvalidKey(name, f"cannot be set together with {found[1]}; keep one of the two forms")
    return tuple(key for variable in found if (key := read_key(variable, variables)))

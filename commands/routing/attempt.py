"""One way to get an answer, and how it went."""

from typing import NamedTuple

from backends.keys import Key
from backends.model_id import BackendName


class Attempt(NamedTuple):
    """One way to get an answer."""

    backend: BackendName
    model: str
    key: Key

    def __str__(self) -> str:
        return f"{self.backend}:{self.model} with {self.key.name}"


class AttemptResult(NamedTuple):
    """How an attempt ended. `error` has a status and a reason, None for an attempt that answered.

    `seconds` is the time from its start to its end.
    """

    backend: BackendName
    model: str
    key_name: str
    error: str | None
    seconds: float

    def __str__(self) -> str:
        end = self.error or "ok"
        return f"{self.backend}:{self.model} with {self.key_name}: {end} ({self.seconds:.2f} s)"

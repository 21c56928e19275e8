"""Values for one try at an upstream: what it uses, and how it ended."""

from typing import NamedTuple

from backends.keys import Key
from backends.model_id import BackendName


class AttemptTarget(NamedTuple):
    """An attempt without its secret: what a rate limit is about."""

    backend: BackendName
    model: str
    key_name: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.model} with {self.key_name}"


class Attempt(NamedTuple):
    """Where to send a prompt, and with which key."""

    backend: BackendName
    model: str
    key: Key

    @property
    def target(self) -> AttemptTarget:
        return AttemptTarget(self.backend, self.model, self.key.name)

    def __str__(self) -> str:
        return str(self.target)


class AttemptResult(NamedTuple):
    """How an attempt ended."""

    backend: BackendName
    model: str
    key_name: str
    error: str | None
    """Status and reason; None after success."""
    seconds: float

    def __str__(self) -> str:
        target = AttemptTarget(self.backend, self.model, self.key_name)
        return f"{target}: {self.error or 'ok'} ({self.seconds:.2f} s)"

"""Parses model ids: `backend:name`, or a bare name."""

from collections.abc import Collection
from typing import NamedTuple

BackendName = str
"""The name of a backend, such as `openrouter`. The names in use are passed as `known`."""


class ModelId(NamedTuple):
    """`backend` is None if the client did not name one."""

    backend: BackendName | None
    name: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.name}" if self.backend else self.name


def parse(text: str, known: Collection[BackendName]) -> ModelId:
    """Split at the first colon if the name of a `known` backend precedes it.

    Any other prefix belongs to the name: OpenRouter's ids contain colons (`vendor/model:free`).
    """
    backend, colon, name = text.partition(":")
    if colon and backend in known:
        return ModelId(backend, name)
    return ModelId(None, text)

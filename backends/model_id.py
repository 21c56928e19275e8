"""Parses model ids: `backend:name`, or a bare name."""

from typing import Literal, NamedTuple, get_args

BackendName = Literal["openrouter", "gemini"]
BACKEND_NAMES: tuple[BackendName, ...] = get_args(BackendName)


class ModelId(NamedTuple):
    """`backend` is None if the client did not name one."""

    backend: BackendName | None
    name: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.name}" if self.backend else self.name


def parse(text: str) -> ModelId:
    """Split at the first colon if a backend's name precedes it.

    Any other prefix belongs to the name: OpenRouter's ids contain colons (`vendor/model:free`).
    """
    backend, colon, name = text.partition(":")
    if colon and backend in BACKEND_NAMES:
        return ModelId(backend, name)
    return ModelId(None, text)

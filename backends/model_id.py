"""Model ids as clients write them: `backend:name`, or a bare name."""

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
    """Split at the first colon, and only behind a known backend's name.

    OpenRouter's own ids hold colons and slashes (`vendor/model:free`), so any other prefix is part
    of the name.
    """
    backend, colon, name = text.partition(":")
    if colon and backend in BACKEND_NAMES:
        return ModelId(backend, name)
    return ModelId(None, text)

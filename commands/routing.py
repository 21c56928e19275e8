"""Which backend and model serve a request."""

from typing import NamedTuple

from backends import model_id
from backends.model_id import BackendName


class Target(NamedTuple):
    """Who serves: `name` is the vendor's name of the model, empty if the client named none."""

    backend: BackendName
    name: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.name}"


def resolve(requested: str | None, default_backend: BackendName) -> Target:
    """The backend that `requested` names, else the default one.

    Without a model OpenRouter takes the default of the account.
    """
    model = model_id.parse(requested or "")
    return Target(model.backend or default_backend, model.name)

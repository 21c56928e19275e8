"""Which backend and model serve a request, and why."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from backends import model_id
from backends.model_id import BackendName, ModelId


class Target(NamedTuple):
    """Who serves: `name` is the vendor's name of the model, empty if the client named none.

    `why` is for people.
    """

    backend: BackendName
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.name}"


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything that has a say besides the request itself.

    `once`, `model` and `backend` come from commands. `known` are all backends, `functional` those
    with a key.
    """

    default_backend: BackendName
    known: Collection[BackendName]
    functional: Collection[BackendName] = ()
    mapping: Mapping[str, Sequence[str]] = field(default_factory=dict)
    once: ModelId | None = None
    model: ModelId | None = None
    backend: BackendName | None = None


def resolve(requested: str | None, wishes: Wishes) -> Target:
    """The first that applies, in the order of `_candidates`.

    Without a model OpenRouter takes the default of the account.
    """
    return next(_candidates(model_id.parse(requested or "", wishes.known), wishes))


def _candidates(requested: ModelId, wishes: Wishes) -> Iterator[Target]:
    default = wishes.default_backend
    for chosen, why in ((wishes.once, "once"), (wishes.model, "set(model)")):
        if chosen:
            yield Target(chosen.backend or default, chosen.name, why)
    if requested.backend:
        yield Target(requested.backend, requested.name, "the request names its backend")
    if wishes.backend:
        yield Target(wishes.backend, requested.name, "set(backend)")
    pattern = _first_match(requested.name, tuple(wishes.mapping))
    for target in wishes.mapping[pattern] if pattern else ():
        mapped = model_id.parse(target, wishes.known)
        if mapped.backend and mapped.backend in wishes.functional:
            name = mapped.name.replace("{model}", requested.name)
            yield Target(mapped.backend, name, f"model_mapping {pattern}")
    yield Target(default, requested.name, "the default backend")


@lru_cache
def _first_match(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)

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
class RoutingInputs:
    """Everything that has a say besides the request itself.

    `once`, `model` and `backend` come from commands. `known` are all backends, `available` those
    with a key.
    """

    default_backend: BackendName
    known: Collection[BackendName]
    available: Collection[BackendName] = ()
    mapping: Mapping[str, Sequence[str]] = field(default_factory=dict)
    once: ModelId | None = None
    model: ModelId | None = None
    backend: BackendName | None = None


def resolve(requested: str | None, inputs: RoutingInputs) -> Target:
    """The first that applies, in the order of `_candidates`.

    Without a model OpenRouter takes the default of the account.
    """
    return next(_candidates(model_id.parse(requested or "", inputs.known), inputs))


def _candidates(requested: ModelId, inputs: RoutingInputs) -> Iterator[Target]:
    default = inputs.default_backend
    for chosen, why in ((inputs.once, "once"), (inputs.model, "set(model)")):
        if chosen:
            yield Target(chosen.backend or default, chosen.name, why)
    if requested.backend:
        yield Target(requested.backend, requested.name, "the request names its backend")
    if inputs.backend:
        yield Target(inputs.backend, requested.name, "set(backend)")
    pattern = _first_match(requested.name, tuple(inputs.mapping))
    for target in inputs.mapping[pattern] if pattern else ():
        mapped = model_id.parse(target, inputs.known)
        if mapped.backend and mapped.backend in inputs.available:
            name = mapped.name.replace("{model}", requested.name)
            yield Target(mapped.backend, name, f"model_mapping {pattern}")
    yield Target(default, requested.name, "the default backend")


@lru_cache
def _first_match(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)

"""Resolves the backend and model of a request, and the reason for them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from backends import model_id
from backends.model_id import BackendName, ModelId


class Target(NamedTuple):
    """A backend and one of its models."""

    backend: BackendName
    model: str
    """The vendor's name of the model, empty if the client named none."""
    reason: str
    """What decided, for people."""

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}"


@dataclass(frozen=True, slots=True)
class RoutingInputs:
    """Routing inputs besides the request itself."""

    default_backend: BackendName
    known: Collection[BackendName]
    """All backends."""
    available: Collection[BackendName] = ()
    """The backends with a key."""
    mapping: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Targets in order of preference, by pattern of a model's name."""
    once: ModelId | None = None
    """This and the next two are set by commands."""
    model: ModelId | None = None
    backend: BackendName | None = None


def resolve(requested: str | None, inputs: RoutingInputs) -> Target:
    """The first target that applies, in the order of `_candidates`.

    Without a model OpenRouter takes the default of the account.
    """
    return next(_candidates(model_id.parse(requested or "", inputs.known), inputs))


def _candidates(requested: ModelId, inputs: RoutingInputs) -> Iterator[Target]:
    default = inputs.default_backend
    for chosen, reason in ((inputs.once, "once"), (inputs.model, "set(model)")):
        if chosen:
            yield Target(chosen.backend or default, chosen.name, reason)
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

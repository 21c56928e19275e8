"""Resolves who serves a request: the only place that knows, for requests, replies and views."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from backends import model_id
from backends.errors import ApiError, bad_request
from backends.model_id import BackendName, ModelId
from commands.routing import model_list
from commands.routing.routes import Route
from commands.settings import DEFAULT_PREFIX, AvailableBackends

BY_DEFAULT = "the default backend"
BY_BACKEND = "set(backend)"
_BY_PREFIX = "the request names its backend"


class Target(NamedTuple):
    """A backend and one of its models."""

    backend: BackendName
    model: str
    """The vendor's name of the model, empty if the client named none."""
    reason: str
    """What decided, for people."""

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}"


class Decision(NamedTuple):
    """Who serves a request."""

    target: Target
    """Of a route the first that is not cooling down, or the session's last one."""
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class NameTables:
    """What the configuration says about names of models."""

    aliases: Mapping[str, ModelId] = field(default_factory=dict)
    mapping: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Targets in order of preference, by pattern of a model's name."""


@dataclass(frozen=True, slots=True)
class RoutingInputs:
    """Routing inputs besides the request itself."""

    default_backend: BackendName
    known: Collection[BackendName]
    """All backends."""
    backends: AvailableBackends = field(default_factory=dict)
    """The backends with a key, and their lists of models."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    names: NameTables = field(default_factory=NameTables)
    once: ModelId | None = None
    """This and the next two are set by commands. Without backend it is a name as clients use."""
    model: ModelId | None = None
    backend: BackendName | None = None
    last: ModelId | None = None
    """The model that answered last under these settings: a route starts there."""
    cooling: Collection[ModelId] = ()
    """The models that routes skip for now."""
    command_prefix: str = DEFAULT_PREFIX

    def models(self, backend: BackendName) -> Sequence[str] | None:
        """The list of a backend; None if it has no key, or as long as nobody knows."""
        available = self.backends.get(backend)
        return available.models if available else None

    def find(self, name: str, backend: BackendName) -> Sequence[str]:
        """The ids in a backend's list that fit a name best; several fit equally."""
        return model_list.find(name, self.models(backend) or ())


def resolve(requested: str | None, inputs: RoutingInputs) -> Decision:
    """The decision of the first rule that applies.

    Without a model OpenRouter takes the default of the account. Raises ApiError (400) if nobody can
    serve what is asked for.
    """
    return _first(_RULES, requested or "", inputs)


def resolve_name(name: str, inputs: RoutingInputs) -> Decision:
    """Resolve a name as if a client asked for it and no command had a say."""
    return _first(_CLIENT_RULES, name, inputs)


def arrow(requested: str | None, inputs: RoutingInputs) -> str:
    """Who serves a request and why, for people: `best -> gemini:gemini-2.5-pro (route best)`."""
    try:
        target = resolve(requested, inputs).target
    except ApiError as error:
        return f"nobody: {error.message}"
    if not target.model:
        return f"the requested model at {target.backend} ({target.reason})"
    served = f"{target} ({target.reason})"
    return served if requested in (None, str(target)) else f"{requested} -> {served}"


_Rule = Callable[[str, RoutingInputs], Decision | None]


def _first(rules: Sequence[_Rule], name: str, inputs: RoutingInputs) -> Decision:
    return next(found for rule in rules if (found := rule(name, inputs)))


def _once(name: str, inputs: RoutingInputs) -> Decision | None:
    return inputs.once and _as_chosen(inputs.once, "once", inputs)


def _set_model(name: str, inputs: RoutingInputs) -> Decision | None:
    return inputs.model and _as_chosen(inputs.model, "set(model)", inputs)


def _as_chosen(model: ModelId, command: str, inputs: RoutingInputs) -> Decision:
    if model.backend:
        return Decision(Target(model.backend, model.name, command))
    target, route = resolve_name(model.name, inputs)
    return Decision(target._replace(reason=f"{command}, {target.reason}"), route)


def _set_backend(name: str, inputs: RoutingInputs) -> Decision | None:
    """A route that the client asks for by its name keeps its own backends."""
    backend = inputs.backend
    if not backend or name in inputs.routes:
        return None
    asked = inputs.names.aliases.get(name) or model_id.parse(name, inputs.known)
    if asked.backend == backend or not asked.name:
        return Decision(Target(backend, asked.name, BY_BACKEND))
    mapped = [each.model for each in _mapped(asked.name, inputs) if each.backend == backend]
    # The name may be another backend's: OpenRouter calls Gemini's models `google/gemini-2.5-pro`.
    for each in (asked.name, asked.name.rpartition("/")[2], *mapped):
        found = inputs.find(each, backend)
        if len(found) > 1:
            raise _ambiguous(each, backend, found)
        if found:
            return Decision(Target(backend, found[0], BY_BACKEND))
    if inputs.models(backend) is None:
        return Decision(Target(backend, [*mapped, asked.name][0], BY_BACKEND))
    prefix = inputs.command_prefix
    raise _not_found(
        f"{backend} has no model {asked.name}: choose one with {prefix}set(model=...), or lift the "
        f"choice of {backend} with {prefix}unset(backend)"
    )


def _prefix(name: str, inputs: RoutingInputs) -> Decision | None:
    backend, model = model_id.parse(name, inputs.known)
    return Decision(Target(backend, model, _BY_PREFIX)) if backend else None


def _route(name: str, inputs: RoutingInputs) -> Decision | None:
    """Raises ApiError (400) if no backend of the route has a key."""
    route = inputs.routes.get(name) or inputs.routes.get(
        _first_match(name, tuple(inputs.routes)) or ""
    )
    if not route:
        return None
    usable = [each for each in route.elements if each.backend in inputs.backends]
    if not usable:
        raise bad_request(f"Route {route.name} has no element with an API key", "model")
    if route.policy == "k":
        del usable[1:]
    usable.sort(key=lambda each: (each in inputs.cooling, each != inputs.last))
    backend, model = usable[0]
    assert backend
    return Decision(Target(backend, model, f"route {route.name}"), route)


def _alias(name: str, inputs: RoutingInputs) -> Decision | None:
    backend, model = inputs.names.aliases.get(name, (None, ""))
    return Decision(Target(backend, model, f"alias {name}")) if backend else None


def _mapping(name: str, inputs: RoutingInputs) -> Decision | None:
    """The first target that its list has, or whose list is not known; else the first."""
    targets = _mapped(name, inputs)
    for target in targets:
        if inputs.models(target.backend) is None:
            return Decision(target)
        found = inputs.find(target.model, target.backend)
        if len(found) == 1:
            return Decision(target._replace(model=found[0]))
    return Decision(targets[0]) if targets else None


def _mapped(name: str, inputs: RoutingInputs) -> list[Target]:
    """The targets of the first pattern that matches, without those whose backend has no key."""
    pattern = _first_match(name, tuple(inputs.names.mapping)) if name else None
    targets = []
    for text in inputs.names.mapping[pattern] if pattern else ():
        backend, model = model_id.parse(text, inputs.known)
        if backend and backend in inputs.backends:
            model = model.replace("{model}", name)
            targets.append(Target(backend, model, f"model_mapping {pattern}"))
    return targets


def _lists(name: str, inputs: RoutingInputs) -> Decision | None:
    """Raises ApiError (400) if a name fits several models equally, and no other list has it."""
    unclear: ApiError | None = None
    for backend in sorted(inputs.backends, key=lambda each: each != inputs.default_backend):
        found = inputs.find(name, backend) if name else ()
        if len(found) == 1:
            reason = f"the models of {backend}"
            return Decision(Target(backend, found[0], reason))
        if found:
            unclear = unclear or _ambiguous(name, backend, found)
    if unclear:
        raise unclear
    return None


def _default(name: str, inputs: RoutingInputs) -> Decision:
    return Decision(Target(inputs.default_backend, name, BY_DEFAULT))


# What a human says in the chat precedes what the client's configuration says.
_CLIENT_RULES: Sequence[_Rule] = (_prefix, _route, _alias, _mapping, _lists, _default)
_RULES: Sequence[_Rule] = (_once, _set_model, _set_backend, *_CLIENT_RULES)


def _ambiguous(name: str, backend: BackendName, found: Sequence[str]) -> ApiError:
    return _not_found(model_list.several(name, [f"{backend}:{each}" for each in found]))


def _not_found(message: str) -> ApiError:
    return ApiError(400, message, param="model", code="model_not_found")


@lru_cache
def _first_match(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)

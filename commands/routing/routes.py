"""Failover routes as values: named lists of models. `failover` knows the order of attempts."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from backends.model_id import BackendName, ModelId
from commands.errors import CommandError, did_you_mean
from commands.settings import parse_line, parse_model

Policy = Literal["k", "m", "km", "mk"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
DEFAULT_POLICY: Policy = "km"


def find_policy(text: str) -> Policy | None:
    """The policy of this name in any case, None if there is none."""
    return next((policy for policy in POLICIES if policy == text.lower()), None)


def parse_element(text: str, known: Collection[BackendName]) -> ModelId:
    """The model of a route's element. Raises CommandError if its backend is not `known`."""
    try:
        return parse_model(text, known)
    except CommandError as error:
        raise CommandError(f"route element '{text}': {error}") from None


@dataclass(frozen=True, slots=True)
class Route:
    """Models to try in order, for requests that name the route as their model."""

    name: str
    policy: Policy
    elements: tuple[ModelId, ...] = ()


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes in the order of their creation. Every change returns a new collection."""

    by_name: Mapping[str, Route] = field(default_factory=dict)

    def find(self, name: str) -> Route:
        """Raises CommandError if there is no route of this name."""
        if name not in self.by_name:
            raise CommandError(f"route {name} not found{did_you_mean(name, self.by_name)}")
        return self.by_name[name]

    def create(self, name: str, policy: Policy) -> "Routes":
        """Add an empty route, or empty the one of this name."""
        try:
            return self._with(Route(parse_line(name), policy))
        except ValueError as error:
            raise CommandError(f"route name {error}") from None

    def delete(self, name: str) -> "Routes":
        deleted = self.find(name)
        return Routes({key: route for key, route in self.by_name.items() if route is not deleted})

    def append(self, name: str, elements: Iterable[ModelId]) -> "Routes":
        route = self.find(name)
        return self._with(replace(route, elements=(*route.elements, *elements)))

    def prepend(self, name: str, elements: Iterable[ModelId]) -> "Routes":
        route = self.find(name)
        return self._with(replace(route, elements=(*elements, *route.elements)))

    def clear(self, name: str) -> "Routes":
        return self._with(replace(self.find(name), elements=()))

    def _with(self, route: Route) -> "Routes":
        return Routes({**self.by_name, route.name: route})

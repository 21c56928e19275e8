"""Turns what a person names in the chat into a model, or the name of a route."""

from typing import NamedTuple

from backends.errors import ApiError
from backends.model_id import ModelId
from commands.errors import CommandError, ModelNotAvailable
from commands.routing import model_list
from commands.routing.target import BY_DEFAULT, RoutingInputs, resolve_name
from commands.settings import check_backend


class Choice(NamedTuple):
    """A model that a person chose."""

    model: ModelId
    """Without backend it is the name of a route."""
    reason: str = ""
    """How the name led to the model; empty if it is the model's id."""


def choose(named: ModelId, inputs: RoutingInputs) -> Choice:
    """Without backend the name is resolved like a client's; then a unique part of a name suffices.

    Raises ModelNotAvailable if the lists are known and lack the model, and other CommandErrors.
    """
    wanted, reason = named, ""
    if not named.backend:
        try:
            target, route = resolve_name(named.name, inputs)
        except ApiError as error:
            raise CommandError(error.message) from None
        if route:
            return Choice(named, target.reason)
        wanted, reason = ModelId(target.backend, target.model), target.reason
    check_backend(wanted.backend, inputs.backends)
    assert wanted.backend
    found = inputs.find(wanted.name, wanted.backend)
    if len(found) == 1:
        model = ModelId(wanted.backend, found[0])
        by_list = "" if model == named else f"the models of {model.backend}"
        return Choice(model, reason or by_list)
    if found:
        ids = [f"{wanted.backend}:{each}" for each in found]
        raise ModelNotAvailable(model_list.several(wanted.name, ids))
    is_listed = inputs.models(wanted.backend) is not None
    if (is_listed or reason == BY_DEFAULT) and (by_part := _by_part(named, inputs)):
        return by_part
    if is_listed:
        raise ModelNotAvailable(f"model {named} not available{_hint(named, inputs)}")
    return Choice(wanted, reason)


def _by_part(named: ModelId, inputs: RoutingInputs) -> Choice | None:
    """Raises ModelNotAvailable if several models have this in their name."""
    backends = [named.backend] if named.backend else inputs.backends
    found = [
        ModelId(backend, name)
        for backend in backends
        for name in model_list.with_part(named.name, inputs.models(backend) or ())
    ]
    if len(found) > 1:
        raise ModelNotAvailable(f"model {named} not available{_hint(named, inputs)}")
    return Choice(found[0], "the only model with this in its name") if found else None


def _hint(named: ModelId, inputs: RoutingInputs) -> str:
    """Proposes the names nearest to a wrong one."""
    if named.backend:
        ids = inputs.models(named.backend) or ()
        return model_list.nearest(named.name, ids, f"{named.backend}:{{}}")
    lists = (inputs.models(backend) or () for backend in inputs.backends)
    names = [*inputs.routes, *inputs.names.aliases, *(name for ids in lists for name in ids)]
    return model_list.nearest(named.name, names)

"""Plans the attempts of a prompt: by route or by model, key by key, the last that worked first."""

from collections.abc import Sequence
from dataclasses import dataclass

from backends.errors import bad_request
from backends.vendors.registry import ConfiguredBackends
from commands.routing import failover
from commands.routing.attempt import Attempt
from commands.routing.target import RoutingInputs, resolve
from commands.settings import SessionSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """The attempts in their order."""

    attempts: Sequence[Attempt]
    has_route: bool
    reason: str
    """Why these, for people."""


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """What decides about the attempts besides the model that the client requests."""

    routing: RoutingInputs
    settings: SessionSettings
    configured: ConfiguredBackends
    last: tuple[SessionSettings, Attempt] | None = None
    """The session's last attempt that succeeded, and its settings at that time."""
    is_project_required: bool = False


def plan(requested: str | None, inputs: PlanInputs) -> Plan:
    """Raises ApiError (400) if the session's settings allow no prompt, or nobody can serve it."""
    _check(inputs)
    keys, (target, route) = inputs.configured.keys, resolve(requested, inputs.routing)
    if route:
        attempts = failover.plan(route, keys)
    else:
        inputs.configured.check(target.backend)
        attempts = failover.plan_model(target.backend, target.model, keys)
    settings, last = inputs.last or (None, None)
    if settings == inputs.settings and last in attempts:
        attempts.sort(key=lambda attempt: attempt != last)
    return Plan(attempts, route is not None, target.reason)


def _check(inputs: PlanInputs) -> None:
    if inputs.settings.is_model_invalid and not inputs.routing.once:
        raise bad_request("invalid or unsupported model", "model")
    if inputs.is_project_required and inputs.settings.project is None:
        raise bad_request(
            f"Project name not set. Use {inputs.routing.command_prefix}set(project=<name>) before "
            "sending prompts."
        )

"""Which attempts a prompt gets, and why; no sockets."""

from dataclasses import replace

import pytest

from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import BackendName, ModelId
from backends.vendors.registry import ConfiguredBackends, make_backends
from commands.routing.attempt import Attempt
from commands.routing.planner import PlanInputs, plan
from commands.routing.routes import Route
from commands.routing.target import RoutingInputs
from commands.settings import AvailableBackend, SessionSettings

O1, O2, G1 = Key("O1", "secret1"), Key("O2", "secret2"), Key("G1", "secret3")
KEYS: dict[BackendName, list[Key]] = {"openrouter": [O1, O2], "gemini": [G1]}
BACKENDS = make_backends({"openrouter": "http://o", "gemini": "http://g"}, None, None)
FAST = Route("fast", "m", (ModelId("gemini", "flash"), ModelId("openrouter", "mini")))
NOTHING = Route("nothing", "k")
MODEL = ModelId("openrouter", "chosen")


def inputs(
    *,
    keys: dict[BackendName, list[Key]] = KEYS,
    settings: SessionSettings = SessionSettings(),  # noqa: B008  # frozen
    once: ModelId | None = None,
    last: tuple[SessionSettings, Attempt] | None = None,
    is_project_required: bool = False,
) -> PlanInputs:
    return PlanInputs(
        RoutingInputs(
            "openrouter",
            BACKENDS.keys(),
            {name: AvailableBackend(len(each)) for name, each in keys.items()},
            {route.name: route for route in (FAST, NOTHING)},
            once=once,
            model=settings.model,
            backend=settings.backend,
            command_prefix="$/",
        ),
        settings,
        ConfiguredBackends(BACKENDS, keys),
        last,
        is_project_required,
    )


def shown(requested: str | None, given: PlanInputs) -> tuple[str, bool, str]:
    found = plan(requested, given)
    attempts = " ".join(f"{each.model}/{each.key.name}" for each in found.attempts)
    return attempts, found.has_route, found.reason


IN_FORCE = SessionSettings(project="p")


@pytest.mark.parametrize(
    ("requested", "given", "attempts", "reason"),
    [
        ("fast", inputs(), "flash/G1 mini/O1", "route fast"),
        ("fast", inputs(keys={"openrouter": [O1]}), "mini/O1", "route fast"),
        ("fast", inputs(once=MODEL), "chosen/O1 chosen/O2", "once"),
        (
            "fast",
            inputs(settings=SessionSettings(model=MODEL)),
            "chosen/O1 chosen/O2",
            "set(model)",
        ),
        # A backend alone names no model, so the route holds.
        (
            "fast",
            inputs(settings=SessionSettings(backend="gemini")),
            "flash/G1 mini/O1",
            "route fast",
        ),
        ("mini", inputs(), "mini/O1 mini/O2", "the default backend"),
        (None, inputs(), "/O1 /O2", "the default backend"),
        ("gemini:pro", inputs(), "pro/G1", "the request names its backend"),
        (
            "mini",
            inputs(last=(SessionSettings(), Attempt("openrouter", "mini", O2))),
            "mini/O2 mini/O1",
            "the default backend",
        ),
        (
            "fast",
            inputs(last=(SessionSettings(), Attempt("openrouter", "mini", O1))),
            "mini/O1 flash/G1",
            "route fast",
        ),
        # Another model, or other settings: the last attempt does not matter.
        (
            "mini",
            inputs(last=(SessionSettings(), Attempt("openrouter", "maxi", O2))),
            "mini/O1 mini/O2",
            "the default backend",
        ),
        (
            "mini",
            inputs(last=(IN_FORCE, Attempt("openrouter", "mini", O2))),
            "mini/O1 mini/O2",
            "the default backend",
        ),
        (
            "mini",
            inputs(settings=IN_FORCE, is_project_required=True),
            "mini/O1 mini/O2",
            "the default backend",
        ),
    ],
)
def test_plan(requested: str | None, given: PlanInputs, attempts: str, reason: str) -> None:
    assert shown(requested, given) == (attempts, reason.startswith("route"), reason)


@pytest.mark.parametrize(
    ("requested", "given", "says"),
    [
        ("nothing", inputs(), "Route nothing has no element with an API key"),
        ("fast", inputs(keys={}), "Route fast has no element with an API key"),
        ("mini", inputs(keys={}), "set OPENROUTER_API_KEY"),
        ("gemini:pro", inputs(keys={"openrouter": [O1]}), "set GEMINI_API_KEY"),
        ("mini", inputs(is_project_required=True), r"Use \$/set\(project=<name>\)"),
        (
            "fast",
            inputs(settings=SessionSettings(model=MODEL, is_model_invalid=True)),
            "invalid or unsupported model",
        ),
    ],
)
def test_refused(requested: str, given: PlanInputs, says: str) -> None:
    with pytest.raises(ApiError, match=says) as raised:
        plan(requested, given)
    assert raised.value.status == 400


def test_an_invalid_model_counts_before_a_missing_project() -> None:
    both = replace(
        inputs(is_project_required=True), settings=SessionSettings(is_model_invalid=True)
    )
    with pytest.raises(ApiError, match="invalid or unsupported"):
        plan("mini", both)

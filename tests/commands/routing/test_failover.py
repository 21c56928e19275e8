"""Attempts in their exact order, which failures are got round, and how long who rests."""

import pytest

from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import BackendName, ModelId
from commands.routing import failover
from commands.routing.attempt import Attempt
from commands.routing.routes import Policy, Route

EPOCH = 1_800_000_000.0


def keys_of(openrouter: int = 0, gemini: int = 0) -> dict[BackendName, list[Key]]:
    """So many keys, `O1`, `O2`... and `G1`, `G2`...; a backend without one is not there."""
    counts: dict[BackendName, int] = {"openrouter": openrouter, "gemini": gemini}
    return {
        backend: [Key(f"{backend[0].upper()}{i}", f"secret{i}") for i in range(1, count + 1)]
        for backend, count in counts.items()
        if count
    }


def short(attempts: list[Attempt]) -> str:
    """As `model/key`; the backend is the key's, which is checked."""
    assert all(each.key.name[0] == each.backend[0].upper() for each in attempts)
    return " ".join(f"{each.model}/{each.key.name}" for each in attempts)


A, B, C = ModelId("openrouter", "a"), ModelId("gemini", "b"), ModelId("openrouter", "c")


@pytest.mark.parametrize(
    ("policy", "elements", "counts", "order"),
    [
        ("k", [A, B], (3, 2), "a/O1 a/O2 a/O3"),
        ("k", [B, A], (3, 2), "b/G1 b/G2"),
        ("m", [A, B, C], (3, 2), "a/O1 b/G1 c/O1"),
        ("km", [A, B, C], (2, 2), "a/O1 a/O2 b/G1 b/G2 c/O1 c/O2"),
        ("km", [B, A], (1, 3), "b/G1 b/G2 b/G3 a/O1"),
        ("mk", [A, B, C], (2, 2), "a/O1 b/G1 c/O1 a/O2 b/G2 c/O2"),
        # One backend's keys come to an end before the other's.
        ("mk", [A, B, C], (1, 3), "a/O1 b/G1 c/O1 b/G2 b/G3"),
        ("mk", [B, A], (3, 1), "b/G1 a/O1 a/O2 a/O3"),
    ],
)
def test_the_order_of_a_policy(
    policy: Policy, elements: list[ModelId], counts: tuple[int, int], order: str
) -> None:
    assert short(failover.plan(Route("r", policy, tuple(elements)), keys_of(*counts))) == order


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("k", "b/G1 b/G2"),  # the first element that has a key
        ("m", "b/G1 b2/G1"),
        ("km", "b/G1 b/G2 b2/G1 b2/G2"),
        ("mk", "b/G1 b2/G1 b/G2 b2/G2"),
    ],
)
def test_elements_without_a_key_are_left_out(policy: Policy, order: str) -> None:
    route = Route("r", policy, (A, B, C, ModelId("gemini", "b2")))
    assert short(failover.plan(route, keys_of(gemini=2))) == order
    assert failover.plan(Route("r", policy, (A, C)), keys_of(gemini=2)) == []
    assert failover.plan(Route("r", policy), keys_of(gemini=2)) == []
    assert failover.plan(route, {}) == []


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("k", "a/O1 a/O2"),
        ("m", "a/O1 b/G1"),
        ("km", "a/O1 a/O2 b/G1"),
        ("mk", "a/O1 b/G1 a/O2"),
    ],
)
def test_nothing_is_tried_twice(policy: Policy, order: str) -> None:
    route = Route("r", policy, (A, B, A, B, A))
    assert short(failover.plan(route, keys_of(2, 1))) == order


def test_without_a_route_each_key_is_tried() -> None:
    assert short(failover.plan_model("openrouter", "a", keys_of(3, 1))) == "a/O1 a/O2 a/O3"
    assert failover.plan_model("openrouter", "a", keys_of(gemini=1)) == []


def test_an_attempt_tells_its_key_by_name_only() -> None:
    (attempt,) = failover.plan_model("gemini", "b", keys_of(gemini=1))
    assert str(attempt) == "gemini:b with G1"
    assert "secret" not in f"{attempt} {attempt!r}"


# Status, and whether the next attempt is due without and with a route.
CLASSES = [
    *((status, False, False) for status in (400, 404, 405, 409, 413, 415, 422, 451, 499, 501)),
    *((status, True, True) for status in (401, 402, 403, 429)),
    *((status, False, True) for status in (408, 500, 502, 503, 504, 529)),
    *((status, False, True) for status in (520, 521, 522, 523, 524)),
]


@pytest.mark.parametrize(("status", "alone", "on_route"), CLASSES)
def test_whether_the_next_attempt_is_due(status: int, alone: bool, on_route: bool) -> None:
    error = ApiError(status, "x")
    assert failover.should_try_next(error, has_route=False) is alone
    assert failover.should_try_next(error, has_route=True) is on_route


class TestAllFailed:
    LAST = ApiError(
        529,
        "busy",
        type="t",
        code="c",
        param="p",
        headers=[("retry-after", "3")],
        extra={"metadata": {"provider_name": "P"}},
    )

    @pytest.mark.parametrize("attempts", [[], ["openrouter:a with O1: 529 busy"]])
    def test_a_single_attempt_s_error_stays_as_it_is(self, attempts: list[str]) -> None:
        assert failover.all_failed(self.LAST, attempts) is self.LAST

    def test_several_are_told_in_their_order(self) -> None:
        told = ["openrouter:a with O1: 429 slow down", "gemini:b with G1: 529 busy"]
        error = failover.all_failed(self.LAST, told)
        assert error.message == (
            "All backends failed: openrouter:a with O1: 429 slow down; gemini:b with G1: 529 busy"
        )
        assert error.status == 529
        assert (error.type, error.code, error.param) == ("t", "c", "p")
        assert error.headers == (("retry-after", "3"),)
        assert error.extra == {"metadata": {"provider_name": "P"}}

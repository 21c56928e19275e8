"""Which upstreams rest after a rate limit, and for how long."""

from typing import Any

import pytest

from backends.errors import ApiError
from backends.keys import Key
from commands.routing.attempt import Attempt
from commands.routing.cooldowns import (
    BASE_COOLDOWN_S,
    MAX_COOLDOWN_S,
    MAX_RETRY_AFTER_S,
    MAX_TARGETS,
    Cooldowns,
    all_cooling_down,
    retry_after_s,
)

EPOCH = 1_800_000_000.0


def in_metadata(**fields: Any) -> dict[str, Any]:
    return {"extra": {"metadata": {"headers": fields}}}


def header(name: str, value: str) -> dict[str, Any]:
    return {"headers": [(name, value)]}


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        ({}, None),
        (header("retry-after", "7"), 7),
        (header("Retry-After", "7.5"), 7.5),
        (header("retry-after", "0"), 0),
        (header("retry-after", "-3"), 0),
        (header("retry-after-ms", "250"), 0.25),
        ({"headers": [("retry-after", "9"), ("retry-after-ms", "250")]}, 0.25),
        (header("x-ratelimit-reset", str(int((EPOCH + 42) * 1000))), 42),
        (header("x-ratelimit-reset", str(int((EPOCH - 42) * 1000))), 0),
        ({"headers": [("x-ratelimit-reset", f"{EPOCH * 1000:.0f}"), ("retry-after", "3")]}, 3),
        (in_metadata(**{"X-RateLimit-Reset": str(int((EPOCH + 6) * 1000))}), 6),
        (in_metadata(**{"X-RateLimit-Reset": int((EPOCH + 6) * 1000)}), 6),
        (in_metadata(**{"Retry-After": 11}), 11),
        # The real header goes before the one that is told inside the error.
        (in_metadata(**{"Retry-After": 11}) | header("retry-after", "2"), 2),
        (header("retry-after", "soon"), None),
        (header("retry-after", "nan"), None),
        (header("retry-after", "inf"), None),
        ({"headers": [("retry-after-ms", "soon"), ("retry-after", "4")]}, 4),
        ({"extra": {"metadata": "text"}}, None),
        ({"extra": {"metadata": {"headers": ["x"]}}}, None),
        ({"extra": {"metadata": None}}, None),
    ],
)
def test_when_the_upstream_wants_to_be_asked_again(
    given: dict[str, Any], wait: float | None
) -> None:
    got = retry_after_s(ApiError(429, "slow down", **given), EPOCH)
    assert got == (wait if wait is None else pytest.approx(wait))


FIRST, SECOND, OTHER_MODEL = (
    Attempt("openrouter", "a", Key("O1", "x")),
    Attempt("openrouter", "a", Key("O2", "y")),
    Attempt("openrouter", "c", Key("O1", "x")),
)


def rate_limit(seconds: float | None = None) -> ApiError:
    headers = [] if seconds is None else [("retry-after", str(seconds))]
    return ApiError(429, "slow down", headers=headers)


class TestCooldowns:
    def test_only_the_target_of_the_error_rests(self) -> None:
        cooldowns = Cooldowns()
        cooldowns.start(FIRST, rate_limit(7), now=100.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST, 100.0) == 7
        assert cooldowns.remaining_s(FIRST, 104.5) == 2.5
        assert cooldowns.remaining_s(FIRST, 107.0) == 0
        assert cooldowns.remaining_s(FIRST, 1e6) == 0
        assert cooldowns.remaining_s(SECOND, 100.0) == 0
        assert cooldowns.remaining_s(OTHER_MODEL, 100.0) == 0

    def test_a_key_is_known_by_its_name(self) -> None:
        cooldowns = Cooldowns()
        cooldowns.start(FIRST, rate_limit(7), now=0.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST._replace(key=Key("O1", "another")), 0.0) == 7

    def test_the_backoff_grows_up_to_a_limit(self) -> None:
        cooldowns = Cooldowns()
        waits = []
        for number in range(10):
            now = 1000.0 * number
            cooldowns.start(FIRST, rate_limit(), now, EPOCH)
            waits.append(cooldowns.remaining_s(FIRST, now))
        assert waits[:7] == [BASE_COOLDOWN_S * 2**number for number in range(6)] + [MAX_COOLDOWN_S]
        assert set(waits[6:]) == {MAX_COOLDOWN_S}
        assert cooldowns.remaining_s(SECOND, 0.0) == 0

    def test_a_time_that_is_given_goes_before_the_backoff_and_counts_for_it(self) -> None:
        cooldowns = Cooldowns()
        cooldowns.start(FIRST, rate_limit(1), now=0.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST, 0.0) == 1
        cooldowns.start(FIRST, rate_limit(), now=10.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST, 10.0) == 2 * BASE_COOLDOWN_S
        cooldowns.start(FIRST, rate_limit(0), now=20.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST, 20.0) == 0

    def test_a_time_far_away_is_not_waited_for(self) -> None:
        cooldowns = Cooldowns()
        cooldowns.start(FIRST, rate_limit(86_400), now=0.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST, 0.0) == MAX_RETRY_AFTER_S

    def test_what_rests_no_more_is_forgotten(self) -> None:
        cooldowns = Cooldowns()
        for number in range(3 * MAX_TARGETS):
            target = FIRST._replace(model=f"m{number}")
            cooldowns.start(target, rate_limit(1), now=float(number), epoch=EPOCH)
        assert len(cooldowns._until) <= MAX_TARGETS + 1
        assert len(cooldowns._in_a_row) <= MAX_TARGETS + 1

    def test_an_answer_ends_the_rest_and_the_backoff(self) -> None:
        cooldowns = Cooldowns()
        for _ in range(3):
            cooldowns.start(FIRST, rate_limit(), now=0.0, epoch=EPOCH)
        cooldowns.start(SECOND, rate_limit(), now=0.0, epoch=EPOCH)
        cooldowns.clear(FIRST)
        assert cooldowns.remaining_s(FIRST, 0.0) == 0
        assert cooldowns.remaining_s(SECOND, 0.0) == BASE_COOLDOWN_S
        cooldowns.start(FIRST, rate_limit(), now=0.0, epoch=EPOCH)
        assert cooldowns.remaining_s(FIRST, 0.0) == BASE_COOLDOWN_S
        cooldowns.clear(OTHER_MODEL)  # never rested

    def test_who_rests_is_told_without_secrets(self) -> None:
        cooldowns = Cooldowns()
        assert cooldowns.active(0.0) == []
        cooldowns.start(FIRST, rate_limit(7), now=0.0, epoch=EPOCH)
        cooldowns.start(OTHER_MODEL, rate_limit(3), now=0.0, epoch=EPOCH)
        assert [*map(str, cooldowns.active(0.5))] == [
            "openrouter:a with O1 for 7 s",
            "openrouter:c with O1 for 3 s",
        ]
        assert [*map(str, cooldowns.active(4.0))] == ["openrouter:a with O1 for 3 s"]
        assert cooldowns.active(7.0) == []


@pytest.mark.parametrize(
    ("waits", "now", "told"),
    [((30, 4.2), 0.0, "5"), ((4.2, 30), 0.0, "5"), ((30, 4), 3.9, "1"), ((30, 4), 4.0, "1")],
)
def test_all_resting_tells_the_soonest(waits: tuple[float, float], now: float, told: str) -> None:
    cooldowns = Cooldowns()
    for attempt, wait in zip((FIRST, SECOND), waits, strict=True):
        cooldowns.start(attempt, rate_limit(wait), now=0.0, epoch=EPOCH)
    error = all_cooling_down([FIRST, SECOND], cooldowns, now)
    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert ("retry-after", told) in error.headers

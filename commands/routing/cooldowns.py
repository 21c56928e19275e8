"""Skips targets after a rate limit: for how long, and until which success."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from backends.errors import ApiError
from commands.routing.attempt import Attempt, AttemptTarget

# After a 429 without a time: doubled each time in a row up to the maximum, in seconds.
BASE_COOLDOWN_S = 5.0
MAX_COOLDOWN_S = 300.0
# Some upstreams name tomorrow; another try after an hour does no harm.
MAX_RETRY_AFTER_S = 3600.0
MAX_TARGETS = 1000


class Cooldown(NamedTuple):
    """A target that attempts skip."""

    target: AttemptTarget
    remaining_s: float

    def __str__(self) -> str:
        return f"{self.target} for {math.ceil(self.remaining_s)} s"


@dataclass(slots=True)
class Cooldowns:
    """The targets that attempts of all sessions skip. Times are monotonic seconds."""

    _until: dict[AttemptTarget, float] = field(default_factory=dict)
    _in_a_row: dict[AttemptTarget, int] = field(default_factory=dict)

    def start(self, attempt: Attempt, error: ApiError, now: float, epoch: float) -> None:
        """Skip the attempt's target for the time in the error, else for a growing time."""
        target = attempt.target
        count = self._in_a_row.get(target, 0)
        self._in_a_row[target] = count + 1
        duration = retry_after_s(error, epoch)
        if duration is None:
            duration = min(BASE_COOLDOWN_S * 2 ** min(count, 10), MAX_COOLDOWN_S)
        self._until[target] = now + min(duration, MAX_RETRY_AFTER_S)
        if len(self._until) > MAX_TARGETS:
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Drop what has ended: model names come from clients, so there may be any number."""
        self._until = {target: until for target, until in self._until.items() if until > now}
        self._in_a_row = {target: self._in_a_row.get(target, 0) for target in self._until}

    def clear(self, attempt: Attempt) -> None:
        """End the cooldown of a target after a success."""
        self._in_a_row.pop(attempt.target, None)
        self._until.pop(attempt.target, None)

    def remaining_s(self, attempt: Attempt, now: float) -> float:
        """How long to skip the attempt's target, 0 if it is not cooling down."""
        return max(0.0, self._until.get(attempt.target, now) - now)

    def active(self, now: float) -> list[Cooldown]:
        """The targets that are cooling down."""
        return [
            Cooldown(target, until - now) for target, until in self._until.items() if until > now
        ]


def retry_after_s(error: ApiError, epoch: float) -> float | None:
    """The seconds after which the upstream allows a retry; `epoch` is the time now.

    From `retry-after-ms`, `retry-after` (seconds), or `x-ratelimit-reset`, which OpenRouter gives
    in milliseconds since the epoch, as a header or inside the error.
    """
    fields = {name.lower(): value for name, value in error.headers}
    metadata = error.extra.get("metadata")
    inner = metadata.get("headers") if isinstance(metadata, dict) else None
    if isinstance(inner, dict):
        fields = {str(name).lower(): str(value) for name, value in inner.items()} | fields
    for name, unit, since in (
        ("retry-after-ms", 0.001, 0.0),
        ("retry-after", 1.0, 0.0),
        ("x-ratelimit-reset", 0.001, epoch),
    ):
        try:
            duration = float(fields[name]) * unit - since
        except (KeyError, ValueError):
            continue
        if math.isfinite(duration):
            return max(0.0, duration)
    return None


def all_cooling_down(attempts: Sequence[Attempt], cooldowns: Cooldowns, now: float) -> ApiError:
    """The error for a prompt whose every attempt is cooling down."""
    seconds = math.ceil(min(cooldowns.remaining_s(attempt, now) for attempt in attempts))
    return ApiError(
        429,
        f"Rate limit reached at every upstream for this model. Please try again in {seconds}s.",
        headers=[("retry-after", str(max(1, seconds)))],
    )

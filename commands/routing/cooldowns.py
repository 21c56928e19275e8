"""Which upstreams are skipped after a rate limit, and for how long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from backends.errors import ApiError
from backends.model_id import BackendName
from commands.routing.attempt import Attempt

# How long a target rests after a 429 that does not say: longer each time in a row, in seconds.
BASE_COOLDOWN_S = 5.0
MAX_COOLDOWN_S = 300.0
# Some upstreams name tomorrow; an hour later it does no harm to ask again.
MAX_RETRY_AFTER_S = 3600.0
MAX_TARGETS = 1000

CooldownKey = tuple[BackendName, str, str]
"""Backend, model and key name: what a rate limit is about."""


def _key(attempt: Attempt) -> CooldownKey:
    return (attempt.backend, attempt.model, attempt.key.name)


@dataclass(slots=True)
class Cooldowns:
    """Which targets rest after a rate limit, for all sessions. Times are monotonic seconds."""

    _until: dict[CooldownKey, float] = field(default_factory=dict)
    _in_a_row: dict[CooldownKey, int] = field(default_factory=dict)

    def start(self, attempt: Attempt, error: ApiError, now: float, epoch: float) -> None:
        """Let the attempt's target rest as long as the error says, else for a growing while."""
        key = _key(attempt)
        count = self._in_a_row.get(key, 0)
        self._in_a_row[key] = count + 1
        wait = retry_after_s(error, epoch)
        if wait is None:
            wait = BASE_COOLDOWN_S * 2 ** min(count, 10)
            limit = MAX_COOLDOWN_S
        else:
            limit = MAX_RETRY_AFTER_S
        self._until[key] = now + min(wait, limit)
        if len(self._until) > MAX_TARGETS:
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Model names come from clients, so what does not rest any more is not kept for ever."""
        self._until = {key: until for key, until in self._until.items() if until > now}
        self._in_a_row = {key: self._in_a_row.get(key, 0) for key in self._until}

    def clear(self, attempt: Attempt) -> None:
        """The target has answered."""
        self._in_a_row.pop(_key(attempt), None)
        self._until.pop(_key(attempt), None)

    def remaining_s(self, attempt: Attempt, now: float) -> float:
        """How long the attempt's target still rests, 0 if it does not."""
        return max(0.0, self._until.get(_key(attempt), now) - now)

    def active(self, now: float) -> list[str]:
        """The targets that rest, for people."""
        return [
            f"{backend}:{model} with {key} for {math.ceil(until - now)} s"
            for (backend, model, key), until in self._until.items()
            if until > now
        ]


def retry_after_s(error: ApiError, epoch: float) -> float | None:
    """When the upstream wants to be asked again, in seconds; `epoch` is the time now.

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
            wait = float(fields[name]) * unit - since
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait):
            return max(0.0, wait)
    return None


def all_cooling_down(attempts: Sequence[Attempt], cooldowns: Cooldowns, now: float) -> ApiError:
    """For a prompt whose every attempt rests."""
    wait = math.ceil(min(cooldowns.remaining_s(attempt, now) for attempt in attempts))
    return ApiError(
        429,
        f"Rate limit reached at every upstream for this model. Please try again in {wait}s.",
        headers=[("retry-after", str(max(1, wait)))],
    )

"""Figures: what a turn tells, and how a side's turns become a row of the table."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from bench.relay import ROUND_TRIP_S


@dataclass(frozen=True)
class Turn:
    """What one side did in one turn; what it has not is NaN.

    `first_s`, `last_s`: medians over the requests, from the beginning (of connecting, if the
    connection is new) to the first and last byte of the answer's body. `cpu_s` is the server's
    CPU time in this turn, `rss_kib` its memory at the end. `delays_s`, in order: how long each
    chunk was on its way from the upstream's writing to the client's reading.
    """

    requests: int = 0
    wall_s: float = math.nan
    cpu_s: float = math.nan
    rss_kib: float = math.nan
    chunks: int = 0
    first_s: float = math.nan
    last_s: float = math.nan
    delays_s: Sequence[float] = field(default=())


class Measure(NamedTuple):
    """`figures` makes figures in `unit` from the turns of a side: one for each, or one for all.

    `is_ratio`: sides are compared by division, turn by turn.
    """

    title: str
    unit: str
    figures: Callable[[Sequence[Turn]], Sequence[float]]
    is_ratio: bool = True


def _each(figure: Callable[[Turn], float]) -> Callable[[Sequence[Turn]], Sequence[float]]:
    return lambda turns: [figure(turn) for turn in turns]


def _per(amount: float, count: int) -> float:
    return amount / count if count else math.nan


def _delay(share: float) -> Callable[[Sequence[Turn]], Sequence[float]]:
    """The delay in ms that this share of the chunks does not exceed."""

    def figure(turn: Turn) -> float:
        count = len(turn.delays_s)
        return turn.delays_s[int(share * (count - 1))] * 1e3 if count else math.nan

    return _each(figure)


def _rss_slope(turns: Sequence[Turn]) -> Sequence[float]:
    """KiB for each 1000 requests, fitted over all turns; NaN for fewer than two."""
    if len(turns) < 2:
        return [math.nan]
    requests = list(accumulate(turn.requests for turn in turns))
    slope, _ = statistics.linear_regression(requests, [turn.rss_kib for turn in turns])
    return [slope * 1000]


CPU = Measure("CPU", "ms/request", _each(lambda turn: _per(turn.cpu_s, turn.requests) * 1e3))
CHUNK_CPU = Measure("CPU", "µs/chunk", _each(lambda turn: _per(turn.cpu_s, turn.chunks) * 1e6))
CHUNK_RATE = Measure("speed", "chunks/s", _each(lambda turn: turn.chunks / turn.wall_s))
DELAYS = (
    Measure("chunk delay, p50", "ms", _delay(0.5)),
    Measure("chunk delay, p99", "ms", _delay(0.99)),
)
FIRST = Measure("first event, p50", "ms", _each(lambda turn: turn.first_s * 1e3))
LAST = Measure("time, p50", "ms", _each(lambda turn: turn.last_s * 1e3))
BEGINNINGS = (
    Measure(
        "last first event, from sending",
        "round trips",
        _each(lambda turn: turn.last_s / ROUND_TRIP_S),
        is_ratio=False,
    ),
    Measure(
        "last first event, from the first",
        "round trips",
        _each(lambda turn: (turn.last_s - turn.first_s) / ROUND_TRIP_S),
        is_ratio=False,
    ),
)
START = Measure("time", "s", _each(lambda turn: turn.wall_s))
START_CPU = Measure("CPU", "s", _each(lambda turn: turn.cpu_s))
SLOPE = Measure("growth", "KiB/1000 requests", _rss_slope, is_ratio=False)

"""Figures of all turns to Markdown tables: medians, and in brackets the range of the rounds."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.measures import Measure, Turn
from bench.scenarios import Scenario
from bench.sides import Side


class Result(NamedTuple):
    """`turns`: those of each side, round by round."""

    scenario: Scenario
    turns: Mapping[Side, Sequence[Turn]]


def table(results: Sequence[Result], sides: Sequence[Side], baseline: Side) -> str:
    """Every side as a ratio to `baseline`, whose own figures stand in the first column of them.

    Measures that the baseline does not have are left out.
    """
    others = [side for side in sides if side is not baseline]
    names = ["scenario", "measure", baseline.name, *(side.name for side in others)]
    rows = [names, ["---"] * 2 + ["---:"] * len(sides), *_rows(results, baseline, others)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _rows(results: Sequence[Result], baseline: Side, others: Sequence[Side]) -> Iterator[list[str]]:
    for scenario, turns in results:
        for measure in scenario.measures:
            base = measure.figures(turns[baseline])
            if not any(map(math.isnan, base)):
                cells = [_compared(measure, measure.figures(turns[side]), base) for side in others]
                yield [scenario.title, measure.title, _absolute(measure, base), *cells]


def _compared(measure: Measure, figures: Sequence[float], base: Sequence[float]) -> str:
    if any(map(math.isnan, figures)):
        return "-"
    if not measure.is_ratio:
        return _absolute(measure, figures)
    ratios = [figure / other for figure, other in zip(figures, base, strict=True)]
    low, high = _number(min(ratios)), _number(max(ratios))
    return f"**{_number(statistics.median(ratios))}** ({low} to {high})"


def _absolute(measure: Measure, figures: Sequence[float]) -> str:
    return f"{_number(statistics.median(figures))} {measure.unit}"


def _number(value: float) -> str:
    """About three significant digits, at most two decimals, no exponent."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"

"""Figures of all turns to Markdown tables: medians, and in brackets the range of the rounds."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench.scenarios import SCENARIOS, Measure, Turn
from bench.sides import SIDES, Side

Results = Sequence[Mapping[Side, Sequence[Turn]]]
"""For each of SCENARIOS the turns of each side, round by round."""


def table(results: Results, baseline: Side) -> str:
    """Every side as a ratio to `baseline`, whose own figures stand in the first column of them.

    Measures that the baseline does not have are left out.
    """
    others = [side for side in SIDES if side is not baseline]
    names = ["scenario", "measure", baseline.name, *(side.name for side in others)]
    rows = [names, ["---"] * 2 + ["---:"] * len(SIDES), *_rows(results, baseline, others)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _rows(results: Results, baseline: Side, others: Sequence[Side]) -> Iterator[list[str]]:
    for scenario, turns in zip(SCENARIOS, results, strict=True):
        for measure in scenario.measures:
            base = measure.figures(turns[baseline])
            if not any(map(math.isnan, base)):
                cells = [_compared(measure, measure.figures(turns[side]), base) for side in others]
                absolute = f"{_number(statistics.median(base))} {measure.unit}"
                yield [scenario.title, measure.title, absolute, *cells]


def _compared(measure: Measure, figures: Sequence[float], base: Sequence[float]) -> str:
    if any(map(math.isnan, figures)):
        return "-"
    if not measure.is_ratio:
        return f"{_number(statistics.median(figures))} {measure.unit}"
    ratios = [figure / other for figure, other in zip(figures, base, strict=True)]
    low, high = _number(min(ratios)), _number(max(ratios))
    return f"**{_number(statistics.median(ratios))}** ({low} to {high})"


def _number(value: float) -> str:
    """About three significant digits, at most two decimals, no exponent."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"

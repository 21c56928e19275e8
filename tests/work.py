"""Counts the steps that code takes, so that tests need not measure time."""

import sys
from collections.abc import Callable
from typing import Any

_TOOL = 4
"""A number that `sys.monitoring` reserves for no debugger, coverage tool or profiler."""


def steps_of(run: Callable[[], Any]) -> int:
    """The lines, loops and calls of Python that `run` takes. Loops within C do not count."""
    monitoring = sys.monitoring
    events = monitoring.events
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    counted = (events.LINE, events.JUMP, events.PY_START, events.PY_RESUME)
    monitoring.use_tool_id(_TOOL, "steps")
    try:
        for event in counted:
            monitoring.register_callback(_TOOL, event, count)
        monitoring.set_events(_TOOL, sum(counted))
        run()
    finally:
        monitoring.set_events(_TOOL, 0)
        monitoring.free_tool_id(_TOOL)
    return steps


def is_linear(run: Callable[[Any], Any], make: Callable[[int], Any], size: int = 200) -> bool:
    """Whether a doubled input takes at most 2.3 times the steps. Both inputs are made before."""
    first, second = make(size), make(2 * size)
    run(first)  # which fills caches
    return steps_of(lambda: run(second)) < 2.3 * steps_of(lambda: run(first))

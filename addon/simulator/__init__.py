"""Simulates OpenRouter and Gemini on loopback, for `--demo` and for the tests.

It does not depend on the proxy. By default the name of the requested model selects the behaviour.
`Simulator.script` queues exact responses, down to single bytes and broken connections.
"""

from addon.loopback.wire import (
    Answer,
    Cut,
    Gate,
    Hang,
    Pause,
    Received,
    Reset,
    Send,
    Step,
    Wait,
    html_answer,
    json_answer,
    sse_answer,
)
from addon.simulator.upstream import Simulator

__all__ = [
    "Answer",
    "Cut",
    "Gate",
    "Hang",
    "Pause",
    "Received",
    "Reset",
    "Send",
    "Simulator",
    "Step",
    "Wait",
    "html_answer",
    "json_answer",
    "sse_answer",
]

"""The fake upstream: OpenRouter and Gemini on loopback, for `--demo` and for the tests.

It knows nothing of the proxy. Left alone it behaves as the name of the requested model says; with
`Simulator.script` it answers as it is told, down to single bytes and broken connections.
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

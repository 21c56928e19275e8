"""Simulates OpenRouter and Gemini on loopback, for `--demo` and for the tests.

It does not depend on the proxy. By default the name of the requested model selects the behaviour.
`Simulator.script` queues exact responses, down to single bytes and broken connections.
"""

from addon.demo.simulator.upstream import Simulator
from addon.loopback.script import (
    Cut,
    Gate,
    Hang,
    Pause,
    ReceivedRequest,
    Reset,
    ScriptedResponse,
    Send,
    Step,
    Wait,
    html_answer,
    json_answer,
    sse_answer,
)

__all__ = [
    "Cut",
    "Gate",
    "Hang",
    "Pause",
    "ReceivedRequest",
    "Reset",
    "ScriptedResponse",
    "Send",
    "Simulator",
    "Step",
    "Wait",
    "html_answer",
    "json_answer",
    "sse_answer",
]

"""A bug of any class in a hook is a 500; the end of a task or of the program is not one."""

import asyncio
import json

import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow

from addon.exchange.fail_closed import fail_closed
from backends.errors import INTERRUPTS


class Panic(BaseException):
    """As pydantic_core's PanicException, which it raises without memory."""


class Hooks:
    def __init__(self, error: type[BaseException]) -> None:
        self.raised = error

    @fail_closed
    def plain(self, flow: HTTPFlow) -> None:
        raise self.raised

    @fail_closed
    async def awaited(self, flow: HTTPFlow) -> None:
        raise self.raised


@pytest.mark.parametrize("error", [ValueError, MemoryError, Panic])
def test_a_bug(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    first, second = tflow.tflow(), tflow.tflow()
    Hooks(error).plain(first)
    asyncio.run(Hooks(error).awaited(second))
    for flow in (first, second):
        assert flow.response
        assert flow.response.status_code == 500
        message = json.loads(flow.response.content or b"")["error"]["message"]
        assert message.startswith("Internal error of the proxy in '")
    assert caplog.text.count("Internal error in hook") == 2


@pytest.mark.parametrize("error", INTERRUPTS)
def test_an_interrupt(error: type[BaseException]) -> None:
    flow = tflow.tflow()
    with pytest.raises(error):
        Hooks(error).plain(flow)
    assert flow.response is None

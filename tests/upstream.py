"""The simulated upstream for tests that are not async themselves: it runs in its own thread."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from addon.demo.simulator import ScriptedResponse, Simulator

TIMEOUT_S = 5.0
"""Longer than anything takes on loopback: only a test that fails waits for it."""


def eventually(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so in good time; for what nothing but a look can tell."""
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.001)
    return is_so()


@contextmanager
def unreachable_port() -> Iterator[int]:
    """One on which connections are neither accepted nor refused.

    The kernel drops what comes to a listener with a full backlog.
    """
    with socket.socket() as full, ExitStack() as fillers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]


class UpstreamThread:
    """A context manager around a running `Simulator`, which answers without delays."""

    simulator: Simulator

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._where = (host, port, ssl_context)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.simulator = self._run(Simulator.start(*self._where, delay_s=0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self.simulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def script(self, *answers: ScriptedResponse, path: str | None = None) -> None:
        self.simulator.script(*answers, path=path)

    def _run[Result](self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

"""Serves scripted responses first, and simulated vendors otherwise."""

import ssl
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Self

from addon.demo.simulator.gemini import Gemini
from addon.demo.simulator.openrouter import OpenRouter
from addon.loopback.script import ReceivedRequest, ScriptedResponse, json_answer
from addon.loopback.server import Server


class Simulator(Server):
    """A fake upstream: OpenRouter, Gemini, and every fault that a test can script.

    `start` and `close` run in the event loop. All other methods are thread-safe.
    """

    def __init__(self, delay_s: float, keep_requests: int) -> None:
        super().__init__(self._answer)
        self._requests: deque[ReceivedRequest] = deque(maxlen=keep_requests)
        self._scripts: defaultdict[str | None, deque[ScriptedResponse]] = defaultdict(deque)
        self._vendors: dict[str, Callable[[ReceivedRequest], ScriptedResponse]] = {
            "/api/v1/": OpenRouter(delay_s).answer,
            "/v1beta/": Gemini(delay_s).answer,
        }

    @classmethod
    async def start(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        *,
        delay_s: float = 0.03,
        keep_requests: int = 1000,
    ) -> Self:
        """Listen. `delay_s` is the time between words; `keep_requests` bounds `requests`."""
        simulator = cls(delay_s, keep_requests)
        await simulator.listen(host, port, ssl_context)
        return simulator

    @property
    def openrouter_url(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def gemini_url(self) -> str:
        return f"{self.url}/v1beta"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The recorded requests, oldest first."""
        return list(self._requests)

    def script(self, *answers: ScriptedResponse, path: str | None = None) -> None:
        """Queue responses to the next POSTs, or to the next requests for `path` (without query)."""
        self._scripts[path].extend(answers)

    def _answer(self, request: ReceivedRequest) -> ScriptedResponse:
        self._requests.append(request)
        return self._scripted(request) or self._simulated(request)

    def _scripted(self, request: ReceivedRequest) -> ScriptedResponse | None:
        path = request.path.partition("?")[0]
        for key in (path, None) if request.method == "POST" else (path,):
            if queue := self._scripts.get(key):
                return queue.popleft()
        return None

    def _simulated(self, request: ReceivedRequest) -> ScriptedResponse:
        for prefix, answer in self._vendors.items():
            if request.path.startswith(prefix):
                return answer(request)
        return json_answer({"error": {"message": "Not Found", "code": 404}}, 404)

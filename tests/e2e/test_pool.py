"""Upstream connections that outlive the client connections they were made for."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.demo.simulator import (
    Cut,
    Gate,
    Hang,
    ScriptedResponse,
    Send,
    Wait,
    json_answer,
    sse_answer,
)
from addon.layers import pool
from tests.e2e.failing import entries
from tests.harness import CLIENT_KEY, OnlyHttp2, RunningProxy, running_proxy
from tests.upstream import UpstreamThread, eventually, unreachable_port

URL = "https://api.openai.com/v1/chat/completions"
EVENT = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
COMPLETION = {"id": "g", "choices": [{"index": 0, "message": {"content": "hi"}}]}
GOOD = json_answer(COMPLETION)
PROMPT = {"messages": [{"role": "user", "content": "hi"}]}
JSON = (("content-type", "application/json"),)


class Hooks:
    """Counts those about connections; kills each connection for which it `refuses`."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.refuses = False

    def server_connect(self, data: ServerConnectionHookData) -> None:
        self.count["connect"] += 1
        if self.refuses:
            data.server.error = "refused by a test"

    def server_connected(self, data: ServerConnectionHookData) -> None:
        self.count["connected"] += 1

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        self.count["disconnected"] += 1

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        self.count["error"] += 1


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    """With its own count of connections for each test."""
    with UpstreamThread() as running:
        yield running


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def proxy(confdir: Path, upstream: UpstreamThread, log_dir: Path) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        environ={
            "OPENROUTER_API_KEY": "sk-or-v1-upstream",
            "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY,
        },
        with_view=True,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        sessions={"log_dir": str(log_dir)},
        timeout=1,
    ) as running:
        yield running


def ask(
    proxy: RunningProxy, *, http2: bool = False, session: str = "s", **options: Any
) -> httpx.Response:
    """Ask on a client connection of its own."""
    with proxy.client(tunnel=http2, http2=http2) as client:
        url = URL if http2 else "/v1/chat/completions"
        return client.post(url, json=PROMPT | options, headers={"x-session-id": session})


def used(upstream: UpstreamThread) -> list[int]:
    """The connection of each prompt."""
    prompts = [each for each in upstream.simulator.requests if each.method == "POST"]
    numbers = {each.connection: None for each in prompts}
    return [list(numbers).index(each.connection) for each in prompts]


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_one_connection_for_many_clients(
    proxy: RunningProxy, upstream: UpstreamThread, http2: bool
) -> None:
    hooks = Hooks()
    proxy.add(hooks)
    for number in range(3):
        upstream.script(GOOD, sse_answer(EVENT, LAST))
        assert ask(proxy, http2=http2, session=f"{number}").json() == COMPLETION
        assert ask(proxy, http2=http2, stream=True).text.endswith("data: [DONE]\n\n")
    assert used(upstream) == [0] * 6
    assert eventually(lambda: hooks.count["disconnected"] == 6)
    assert hooks.count == {"connect": 6, "connected": 6, "disconnected": 6}
    prompts = [flow for flow in proxy.flows if "llm_model" in flow.metadata]
    told = [flow.metadata.get("llm_connection") for flow in prompts]
    assert told == [None, *["reused"] * 5]
    assert len({flow.server_conn.sockname for flow in prompts}) == 1


def test_every_use_is_admitted(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    hooks = Hooks()
    proxy.add(hooks)
    upstream.script(GOOD)
    assert ask(proxy).json() == COMPLETION
    hooks.refuses = True
    refused = ask(proxy)
    assert refused.status_code == 502
    assert "refused by a test" in refused.json()["error"]["message"]
    assert used(upstream) == [0]
    assert hooks.count["error"] == 1


Asking = Callable[..., httpx.Response]


@pytest.fixture(params=["whole", "stream"])
def good(request: pytest.FixtureRequest) -> ScriptedResponse:
    return GOOD if request.param == "whole" else sse_answer(EVENT, LAST)


@pytest.fixture(params=["http1", "http2"])
def asking(request: pytest.FixtureRequest, proxy: RunningProxy, good: ScriptedResponse) -> Asking:
    return partial(ask, proxy, http2=request.param == "http2", stream=good is not GOOD)


@pytest.fixture(params=["close", "reset"])
def death(request: pytest.FixtureRequest) -> ScriptedResponse:
    is_reset = request.param == "reset"
    return (
        ScriptedResponse.reset_before_headers()
        if is_reset
        else ScriptedResponse.close_before_headers()
    )


class TestStale:
    """An upstream may close a connection that waits just when the next request is on its way."""

    def test_it_is_replaced_unnoticed(
        self,
        asking: Asking,
        good: ScriptedResponse,
        death: ScriptedResponse,
        proxy: RunningProxy,
        upstream: UpstreamThread,
        log_dir: Path,
    ) -> None:
        upstream.script(GOOD, death, good, good)
        ask(proxy)
        answer = asking(session="stale")
        assert answer.status_code == 200
        assert answer.text.count("hi") == 1
        assert answer.headers["x-llm-proxy-attempts"] == "1"
        assert asking(session="next").status_code == 200  # none rests
        assert used(upstream) == [0, 0, 1, 1]
        assert len({each.body for each in upstream.simulator.requests[-3:-1]}) == 1
        (entry,) = entries(log_dir, "stale")
        assert len(entry["attempts"]) <= 1
        assert not entry["error"]
        (flow,) = [each for each in proxy.flows if each.metadata.get("llm_session") == "stale"]
        assert "llm_connection" not in flow.metadata

    def test_the_client_stays(
        self,
        good: ScriptedResponse,
        death: ScriptedResponse,
        proxy: RunningProxy,
        upstream: UpstreamThread,
    ) -> None:
        """The connection has waited for the same client."""
        upstream.script(good, death, good, good)
        with proxy.client() as client:
            for _ in range(3):
                body = PROMPT | {"stream": good is not GOOD}
                assert client.post("/v1/chat/completions", json=body).text.count("hi") == 1
        assert used(upstream) == [0, 0, 1, 1]

    def test_it_is_replaced_once(
        self, asking: Asking, death: ScriptedResponse, proxy: RunningProxy, upstream: UpstreamThread
    ) -> None:
        upstream.script(GOOD, death, death, GOOD)
        ask(proxy)
        answer = asking()
        assert answer.status_code == 502
        assert "The connection to OpenRouter broke" in answer.json()["error"]["message"]
        assert used(upstream) == [0, 0, 1]

    def test_a_new_connection_is_not_replaced(
        self, asking: Asking, death: ScriptedResponse, upstream: UpstreamThread
    ) -> None:
        upstream.script(death, GOOD)
        assert asking().status_code == 502
        assert used(upstream) == [0]


def test_a_stale_connection_to_an_upstream_that_is_gone(confdir: Path) -> None:
    """What failed there is no matter to a request that is passed through there afterwards."""
    gate = Gate()
    with ExitStack() as going, ThreadPoolExecutor(1) as executor:
        upstream = going.enter_context(UpstreamThread())
        port = upstream.simulator.port
        upstream.script(GOOD, ScriptedResponse.raw(Wait(gate), Cut()))
        with (
            running_proxy(
                confdir,
                openrouter_api_base_url=upstream.simulator.openrouter_url,
                intercept_hosts=["127.0.0.1"],
            ) as proxy,
            proxy.client(proxy=proxy.url) as client,
        ):
            ask(proxy)
            url = f"http://127.0.0.1:{port}/v1"
            answer = executor.submit(client.post, f"{url}/chat/completions", json=PROMPT)
            assert gate.reached.wait(5)
            going.close()
            assert answer.result(20).status_code == 502
            with UpstreamThread(port=port) as back:
                back.script(json_answer({"id": "file"}), path="/v1/files")
                assert client.get(f"{url}/files").json() == {"id": "file"}


NOT_KEPT = {
    "connection: close": json_answer(COMPLETION, headers=[("connection", "close")]),
    "HTTP/1.0": ScriptedResponse.raw(
        b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    ),
    "no length": ScriptedResponse(200, JSON, GOOD.steps, framing="eof"),
    "bytes behind it": ScriptedResponse.raw(
        *GOOD.wire_steps, b"HTTP/1.1 408 Request Timeout\r\n\r\n"
    ),
    "closed behind it": ScriptedResponse.raw(*GOOD.wire_steps, Cut()),
    "cut within it": ScriptedResponse(200, JSON, (Send(b'{"cho'), Cut())),
    "not HTTP": ScriptedResponse.raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "bad chunk": ScriptedResponse.raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\nnonsense\r\n"
    ),
    "silence": ScriptedResponse.hang(),
    "error event": sse_answer({"error": {"code": 500, "message": "boom"}}, Hang()),
    "no end": sse_answer(LAST, "[DONE]", Hang(), done=False),
}


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_is_not_kept(
    proxy: RunningProxy, upstream: UpstreamThread, name: str, http2: bool
) -> None:
    upstream.script(NOT_KEPT[name], GOOD)
    ask(proxy, http2=http2, stream=name in ("error event", "no end"))
    # What comes behind an answer may be on its way yet; it is dropped as soon as it is there.
    assert eventually(lambda: upstream.simulator.open_connections == 0)
    assert ask(proxy, http2=http2, model="other").json() == COMPLETION
    assert used(upstream) == [0, 1]


@pytest.mark.parametrize("is_streaming", [False, True])
def test_a_cancelled_request_is_not_kept(
    proxy: RunningProxy, upstream: UpstreamThread, is_streaming: bool
) -> None:
    hang = Hang()
    upstream.script(sse_answer(EVENT, hang) if is_streaming else ScriptedResponse.raw(hang), GOOD)
    with proxy.send_prompt(PROMPT | {"stream": True}):
        assert hang.gate.reached.wait(5)
    assert hang.gate.client_gone.wait(5)
    assert ask(proxy).json() == COMPLETION
    assert used(upstream) == [0, 1]


def test_the_next_attempt_takes_the_same_connection(
    confdir: Path, upstream: UpstreamThread
) -> None:
    route = {"policy": "m", "elements": ["openrouter:a", "openrouter:b"]}
    busy = json_answer({"error": {"code": 503, "message": "busy"}}, 503)
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        failover_routes={"best": route},
    ) as proxy:
        upstream.script(busy, GOOD)
        assert ask(proxy, model="best").json() == COMPLETION
    assert used(upstream) == [0, 0]


async def ask_at_once(proxy: RunningProxy, count: int) -> list[httpx.Response]:
    """On one HTTP/2 connection."""
    verify = OnlyHttp2()
    verify.load_verify_locations(proxy.ca)
    async with httpx.AsyncClient(
        http2=True, proxy=proxy.url, verify=verify, trust_env=False, timeout=20
    ) as client:
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        # There would be as many connections as requests before the first has shown its HTTP/2.
        assert (await client.post(URL, json={}, headers=headers)).status_code == 400
        asking = (client.post(URL, json=PROMPT, headers=headers) for _ in range(count))
        return await asyncio.gather(*asking)


def ask_while_all_wait(
    proxy: RunningProxy, upstream: UpstreamThread, count: int
) -> list[httpx.Response]:
    """No answer comes before the upstream has got every request."""
    gate = Gate()
    upstream.script(*[ScriptedResponse.raw(Wait(gate), *GOOD.wire_steps)] * count)
    with ThreadPoolExecutor(1) as executor:
        answers = executor.submit(asyncio.run, ask_at_once(proxy, count))
        assert eventually(lambda: len(used(upstream)) == count)
        gate.open()
        return answers.result(20)


class TestManyAtOnce:
    def test_none_waits_for_another(self, proxy: RunningProxy, upstream: UpstreamThread) -> None:
        """mitmproxy would open five connections."""
        answers = ask_while_all_wait(proxy, upstream, 40)
        assert [each.json() for each in answers] == [COMPLETION] * 40
        assert sorted(used(upstream)) == list(range(40))

    def test_there_is_a_limit(self, confdir: Path, upstream: UpstreamThread) -> None:
        url = upstream.simulator.openrouter_url
        with running_proxy(confdir, openrouter_api_base_url=url, max_connections=3) as proxy:
            upstream.script(*[ScriptedResponse.close_before_headers()] * 3, *[GOOD] * 37)
            answers = asyncio.run(ask_at_once(proxy, 40))
        assert Counter(each.status_code for each in answers) == {502: 3, 200: 37}
        assert max(used(upstream)) < 6

    def test_few_are_kept(
        self, proxy: RunningProxy, upstream: UpstreamThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool, "MAX_IDLE", 3)
        ask_while_all_wait(proxy, upstream, 10)
        assert eventually(lambda: upstream.simulator.open_connections == 3)

    def test_not_for_long(
        self, proxy: RunningProxy, upstream: UpstreamThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool, "IDLE_S", 0.0)
        upstream.script(GOOD)
        ask(proxy)
        assert eventually(lambda: upstream.simulator.open_connections == 0)


def test_a_client_that_does_not_read(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    """It holds the upstream up: an answer does not pile up in the proxy."""
    gate = Gate()
    events = [Send(b'data: {"choices": [], "x": "%s"}\n\n' % (b"x" * 100_000))] * 200
    upstream.script(sse_answer(EVENT, *events, Wait(gate), LAST))
    handlers = proxy.master.addons.get("proxyserver").connections

    def is_held_up() -> bool:
        writers = [io.writer for each in handlers.values() for io in each.transports.values()]
        return any(writer and not writer.transport.is_reading() for writer in writers)

    # In HTTP/1.0 the answer is not cut into chunks, and so easily counted.
    with proxy.send_prompt(PROMPT | {"stream": True}, version="1.0") as client:
        assert eventually(is_held_up)
        assert not gate.reached.is_set()
        gate.open()
        with client.makefile("rb") as answer:
            assert answer.read().count(b"x" * 100_000) == 200


def test_all_are_closed_at_the_end(confdir: Path, upstream: UpstreamThread) -> None:
    url = upstream.simulator.openrouter_url
    with running_proxy(confdir, openrouter_api_base_url=url) as proxy:
        upstream.script(GOOD)
        ask(proxy)
        assert upstream.simulator.open_connections
    assert eventually(lambda: upstream.simulator.open_connections == 0)


def test_a_client_that_leaves_while_we_connect(confdir: Path, log_dir: Path) -> None:
    connecting = threading.Event()

    class Seen:
        def server_connect(self, data: ServerConnectionHookData) -> None:
            connecting.set()

    with (
        unreachable_port() as port,
        running_proxy(
            confdir,
            openrouter_api_base_url=f"http://127.0.0.1:{port}/api/v1",
            sessions={"log_dir": str(log_dir)},
        ) as proxy,
    ):
        proxy.add(Seen())
        with proxy.send_prompt(PROMPT, session="left"):
            assert connecting.wait(5)
        (entry,) = entries(log_dir, "left")
    assert entry["error"]

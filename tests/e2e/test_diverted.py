"""An upstream key goes to the destination that its backend names, or nowhere."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.demo.simulator import json_answer
from tests.e2e.test_pool import COMPLETION
from tests.harness import running_proxy
from tests.upstream import UpstreamThread, eventually

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def other() -> Iterator[UpstreamThread]:
    with UpstreamThread() as running:
        running.script(*[json_answer(COMPLETION)] * 4)
        yield running


class EditsRequest:
    def __init__(self, edit: Callable[[HTTPFlow], None]) -> None:
        self.edit = edit

    def request(self, flow: HTTPFlow) -> None:
        self.edit(flow)


class EditsConnection:
    def __init__(self, port: int) -> None:
        self.port: int | None = port

    def server_connect(self, data: ServerConnectionHookData) -> None:
        if self.port:
            data.server.address = ("127.0.0.1", self.port)


def assert_nothing_sent(answer: httpx.Response, other: UpstreamThread) -> None:
    assert answer.status_code == 502
    assert "diverted" in answer.json()["error"]["message"]
    assert not other.simulator.requests


def prompts_of(upstream: UpstreamThread) -> int:
    return sum(each.method == "POST" for each in upstream.simulator.requests)


def port_of(flow: HTTPFlow, port: int) -> None:
    flow.request.port = port


def host_header(flow: HTTPFlow, port: int) -> None:
    flow.request.headers["host"] = f"127.0.0.1:{port}"


def scheme(flow: HTTPFlow, port: int) -> None:
    flow.request.scheme = "https"


@pytest.mark.parametrize("edit", [port_of, host_header, scheme])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_another_script_edits_the_request(
    confdir: Path,
    upstream: UpstreamThread,
    other: UpstreamThread,
    edit: Callable[[HTTPFlow, int], None],
    stream: bool,
) -> None:
    url = upstream.simulator.openrouter_url
    with running_proxy(confdir, openrouter_api_base_url=url) as proxy:
        seen = prompts_of(upstream)
        proxy.add(EditsRequest(lambda flow: edit(flow, other.simulator.port)))
        with proxy.client() as client:
            answer = client.post("/v1/chat/completions", json=CHAT | {"stream": stream})
            assert_nothing_sent(answer, other)
            assert prompts_of(upstream) == seen
            assert client.get("/health").status_code == 200


def test_another_script_edits_the_connection(
    confdir: Path, upstream: UpstreamThread, other: UpstreamThread
) -> None:
    url = upstream.simulator.openrouter_url
    with running_proxy(confdir, openrouter_api_base_url=url) as proxy, proxy.client() as client:
        addon = EditsConnection(other.simulator.port)
        proxy.add(addon)
        assert_nothing_sent(client.post("/v1/chat/completions", json=CHAT), other)
        addon.port = None
        upstream.script(json_answer(COMPLETION))
        assert client.post("/v1/chat/completions", json=CHAT).json() == COMPLETION


def test_map_remote(confdir: Path, upstream: UpstreamThread, other: UpstreamThread) -> None:
    rule = f"|{upstream.simulator.url}|{other.simulator.url}"
    url = upstream.simulator.openrouter_url
    with running_proxy(confdir, openrouter_api_base_url=url) as proxy, proxy.client() as client:
        proxy.master.event_loop.call_soon_threadsafe(
            lambda: proxy.master.options.update(map_remote=[rule])
        )
        assert_nothing_sent(client.post("/v1/chat/completions", json=CHAT), other)


def test_a_held_flow_is_edited(
    confdir: Path, upstream: UpstreamThread, other: UpstreamThread
) -> None:
    """The edit is not undone by a next attempt either."""
    url = upstream.simulator.openrouter_url
    keys = {"OPENROUTER_API_KEY_1": "first-key", "OPENROUTER_API_KEY_2": "second-key"}
    environ = {"LLM_INTERACTIVE_PROXY_API_KEY": "client-key-for-tests", **keys}
    seen = prompts_of(upstream)
    with running_proxy(
        confdir, environ=environ, with_view=True, openrouter_api_base_url=url
    ) as proxy:
        proxy.add(EditsRequest(HTTPFlow.intercept))
        answers = []

        def ask() -> None:
            with proxy.client() as client:
                answers.append(client.post("/v1/chat/completions", json=CHAT))

        thread = threading.Thread(target=ask)
        thread.start()
        assert eventually(lambda: any(flow.intercepted for flow in proxy.flows))
        (flow,) = proxy.flows

        def edit() -> None:
            flow.request.port = other.simulator.port
            flow.resume()

        proxy.master.event_loop.call_soon_threadsafe(edit)
        thread.join(20)
        assert_nothing_sent(answers[0], other)
        assert prompts_of(upstream) == seen

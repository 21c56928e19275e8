"""Upstreams that cannot be connected to."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mitmproxy.connection import Server
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.demo.simulator import json_answer
from addon.layers.pooled_server import handler_of
from tests.harness import CLIENT_KEY, RunningProxy, running_proxy
from tests.upstream import UpstreamThread, eventually, unreachable_port

COMPLETION = {"id": "g", "choices": [{"index": 0, "message": {"content": "hi"}}]}


def test_a_refused_connection_is_forgotten(confdir: Path) -> None:
    """The client keeps its connection; once the upstream is back, so are its answers."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    with (
        running_proxy(
            confdir, openrouter_api_base_url=f"http://127.0.0.1:{port}/api/v1", connect_timeout=2
        ) as proxy,
        proxy.client() as client,
    ):
        for stream in (False, True):
            refused = client.post("/v1/chat/completions", json={"messages": [{}], "stream": stream})
            assert refused.status_code == 502
            assert "Cannot connect to OpenRouter" in refused.json()["error"]["message"]
        with UpstreamThread(port=port) as back:
            back.script(json_answer(COMPLETION))
            answer = client.post("/v1/chat/completions", json={"messages": [{}]})
            assert answer.json() == COMPLETION


def test_a_connection_that_is_never_accepted_times_out(confdir: Path) -> None:
    with (
        unreachable_port() as port,
        running_proxy(
            confdir,
            openrouter_api_base_url=f"http://127.0.0.1:{port}/api/v1",
            connect_timeout=0.2,
            environ={
                "OPENROUTER_API_KEY": "sk-or-v1-upstream",
                "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY,
            },
        ) as proxy,
    ):
        answer = proxy.client().post("/v1/chat/completions", json={"messages": [{}]})
    assert answer.status_code == 504
    assert "within 0.2 s (setting connect_timeout)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("days", [-1, 1])
def test_the_wall_clock_is_set_meanwhile(
    confdir: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    connecting: list[Server] = []

    class Looking:
        def server_connect(self, data: ServerConnectionHookData) -> None:
            connecting.append(data.server)

    with (
        unreachable_port() as port,
        running_proxy(
            confdir,
            openrouter_api_base_url=f"http://127.0.0.1:{port}/api/v1",
            connect_timeout=1,
        ) as proxy,
        ThreadPoolExecutor() as threads,
        proxy.client() as client,
    ):
        proxy.add(Looking())
        waiting = threads.submit(client.post, "/v1/chat/completions", json={"messages": [{}]})
        assert eventually(lambda: bool(connecting and connecting[0].timestamp_start))
        monkeypatch.setattr(time, "time", lambda: time.time_ns() / 1e9 + days * 86400)
        answer = waiting.result(20)
    assert answer.status_code == 504
    assert "within 1 s (setting connect_timeout)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_parent_proxy_that_is_silent(confdir: Path, is_accepted: bool) -> None:
    with unreachable_port() as port, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if is_accepted else port
        with running_proxy(
            confdir, options={"mode": [f"upstream:http://127.0.0.1:{port}"]}, connect_timeout=0.2
        ) as proxy:
            answer = proxy.client().post("/v1/chat/completions", json={"messages": [{}]})
    assert answer.status_code == 504
    assert "within 0.2 s (setting connect_timeout)" in answer.json()["error"]["message"]


def test_the_system_watches_upstream_connections(
    either: RunningProxy, upstream: UpstreamThread
) -> None:
    found = []

    class Looking:
        def response(self, flow: HTTPFlow) -> None:
            handler = handler_of(flow.client_conn)
            assert handler
            for connection, io in handler.transports.items():
                if connection is not flow.client_conn and io.writer:
                    opened: socket.socket = io.writer.get_extra_info("socket")
                    found.append(opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    either.add(Looking())
    upstream.script(json_answer(COMPLETION))
    with either.client() as client:
        assert client.post("/v1/chat/completions", json={"messages": [{}]}).json() == COMPLETION
    assert found == [1]

"""The proxy is told to stop while it is at work."""

import contextlib
import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from addon.demo.simulator import Gate, Wait, json_answer, sse_answer
from tests.e2e.test_process import LLM_PROXY, MITMDUMP, MITMWEB, SCRIPT
from tests.harness import CLIENT_KEY, ENVIRON, RunningProxy, running_proxy
from tests.process import running_process
from tests.upstream import UpstreamThread, eventually

CHAT = "/v1/chat/completions"
PROMPT = {"messages": [{"role": "user", "content": "hi"}]}
NO_UI = ["--set", "web_open_browser=false", "--set", "web_port=0"]


def chunk(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


class Stream(NamedTuple):
    """A running one: its upstream waits at the gate; the client has read its first line."""

    lines: Iterator[str]
    gate: Gate


@contextlib.contextmanager
def running_stream(client: httpx.Client, upstream: UpstreamThread) -> Iterator[Stream]:
    gate = Gate()
    upstream.script(sse_answer(chunk("one"), Wait(gate), chunk("two")))
    try:
        with client.stream("POST", CHAT, json=PROMPT | {"stream": True}) as answer:
            lines = (line for line in answer.iter_lines() if line)
            assert "one" in next(lines)
            yield Stream(lines, gate)
    finally:
        gate.open()


def is_cut_off(stream: Stream) -> bool:
    """Whether it ends while its upstream still waits."""
    with contextlib.suppress(httpx.RemoteProtocolError):
        return "data: [DONE]" not in stream.lines
    return True


def refuses(url: str) -> bool:
    """Whether nothing listens there any more."""
    try:
        socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 0)).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it is being closed at this moment
    return False


@pytest.fixture
def proxy(
    confdir: Path, upstream: UpstreamThread, request: pytest.FixtureRequest
) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        **getattr(request, "param", {}),
    ) as running:
        yield running


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be handled")
@pytest.mark.parametrize(
    ("command", "signal_name"),
    [
        ([*LLM_PROXY, "--"], "SIGTERM"),
        ([*LLM_PROXY, "--"], "SIGHUP"),
        ([*LLM_PROXY, "--web", "--", *NO_UI], "SIGTERM"),
        ([*MITMDUMP, *SCRIPT], "SIGTERM"),
        ([*MITMDUMP, *SCRIPT], "SIGHUP"),
        ([*MITMWEB, *SCRIPT, *NO_UI], "SIGTERM"),
    ],
    ids=[
        "llm-proxy",
        "llm-proxy, hangup",
        "llm-proxy --web",
        "mitmdump -s",
        "mitmdump -s, hangup",
        "mitmweb -s",
    ],
)
def test_what_runs_finishes(
    tmp_path: Path, confdir: Path, upstream: UpstreamThread, command: list[str], signal_name: str
) -> None:
    command = [*command, "--set", f"confdir={confdir}"]
    environ = {
        **ENVIRON,
        "OPENROUTER_API_BASE_URL": upstream.simulator.openrouter_url,
        "DISABLE_INTERACTIVE_MODE": "true",
    }
    with (
        running_process(tmp_path, command, environ) as process,
        httpx.Client(
            base_url=process.url,
            headers={"authorization": f"Bearer {CLIENT_KEY}"},
            trust_env=False,
            timeout=20,
        ) as client,
    ):
        with running_stream(client, upstream) as stream:
            process.popen.send_signal(signal.Signals[signal_name])
            assert eventually(lambda: refuses(process.url))
            stream.gate.open()
            assert list(stream.lines)[-1] == "data: [DONE]"
        assert process.popen.wait(20) == 0
    assert "Shutting down: 30 s for running requests" in (tmp_path / "output.txt").read_text()


@pytest.mark.parametrize("path", ["/health", "/v1/models", CHAT])
def test_kept_connections_get_no_more_requests_in(
    proxy: RunningProxy, upstream: UpstreamThread, path: str
) -> None:
    with (
        proxy.client() as busy,
        proxy.client() as idle,
        running_stream(busy, upstream) as stream,
    ):
        assert idle.get("/health").status_code == 200
        proxy.master.shutdown()
        assert eventually(lambda: refuses(proxy.url))
        refused = idle.request("POST" if path == CHAT else "GET", path)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "shutting_down"
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["connection"] == "close"
        stream.gate.open()
        assert list(stream.lines)[-1] == "data: [DONE]"


def test_a_second_signal_ends_at_once(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    with proxy.client() as client, running_stream(client, upstream) as stream:
        proxy.master.shutdown()
        assert eventually(lambda: refuses(proxy.url))
        proxy.master.shutdown()
        assert is_cut_off(stream)


@pytest.mark.parametrize("proxy", [{"stop_timeout": 0.1}], indirect=True)
def test_it_does_not_wait_for_ever(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    with proxy.client() as client, running_stream(client, upstream) as stream:
        proxy.master.shutdown()
        assert is_cut_off(stream)


def test_a_slow_client_gets_all_of_its_answer(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    """The answer is made, but its last bytes are not yet sent."""
    text = "x" * 2**23
    upstream.script(json_answer({"choices": [{"index": 0, "message": {"content": text}}]}))
    body = json.dumps(PROMPT).encode()
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CLIENT_KEY}\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert client.recv(1)  # so that the head at least is on its way
        proxy.master.shutdown()
        assert eventually(lambda: refuses(proxy.url))
        received = 0
        while data := client.recv(2**20):
            received += len(data)
    assert received > len(text)

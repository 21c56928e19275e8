"""HTTP/2 on both sides: a bare mitmdump gives the simulated upstream TLS and HTTP/2.

It is spoken with upstreams that want client certificates: their connections are mitmproxy's own.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.demo.simulator import Cut, Hang, ScriptedResponse, json_answer, sse_answer
from tests.harness import UPSTREAM_KEY, RunningProxy, running_proxy
from tests.process import running_process
from tests.upstream import UpstreamThread

URL = "https://api.openai.com/v1/chat/completions"
EVENT = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
COMPLETION = {"id": "g", "choices": [{"index": 0, "message": {"content": "hi"}}]}

FAULTS = {
    "reset": ScriptedResponse.reset_before_headers(),
    "silence": ScriptedResponse.hang(),
    "429": json_answer({"error": {"code": 429, "message": "slow down"}}, 429),
    "error event": sse_answer({"error": {"code": 503, "message": "busy"}}),
    "comments, then cut": sse_answer(b": x\n\n", Cut()),
}


@pytest.fixture(scope="module")
def proxy(
    confdir: Path, upstream: UpstreamThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProxy]:
    directory = tmp_path_factory.mktemp("front")
    front = [
        *(sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"),
        *("--mode", f"reverse:{upstream.simulator.url}@127.0.0.1:0"),
        *("--set", f"confdir={confdir}", "--set", "stream_large_bodies=1"),
    ]
    with running_process(directory, front, {}, until="listening at"):
        output = (directory / "output.txt").read_text()
        port = re.findall(r"listening at 127\.0\.0\.1:(\d+)", output)[0]
        with running_proxy(
            confdir,
            options={
                "ssl_verify_upstream_trusted_ca": str(confdir / "mitmproxy-ca-cert.pem"),
                "client_certs": str(directory),
            },
            with_view=True,
            openrouter_api_base_url=f"https://localhost:{port}/api/v1",
            timeout=1,
            keep_alive=0.2,
            failover_routes={
                f"best{number}": {
                    "policy": "m",
                    "elements": [f"openrouter:a{number}", f"openrouter:b{number}"],
                }
                for number in range(len(FAULTS) * 2)
            },
        ) as running:
            yield running


def test_whole_and_streamed(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    with proxy.client(tunnel=True, http2=True) as client:
        upstream.script(json_answer(COMPLETION), sse_answer(EVENT, LAST))
        whole = client.post(URL, json={"messages": [{}]})
        assert whole.http_version == "HTTP/2"
        assert whole.json() == COMPLETION
        stream = client.post(URL, json={"messages": [{}], "stream": True})
        assert stream.text.endswith("data: [DONE]\n\n")
    assert {flow.server_conn.alpn for flow in proxy.flows} == {b"h2"}
    received = upstream.simulator.requests[-1]
    assert received.path == "/api/v1/chat/completions"
    assert received.header("authorization") == f"Bearer {UPSTREAM_KEY}"


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        (ScriptedResponse.reset_before_headers(), 502, ""),
        (ScriptedResponse.hang(), 504, "did not answer"),
        (json_answer({"error": {"code": 429, "message": "slow down"}}, 429), 429, "slow down"),
    ],
    ids=["reset", "silence", "429"],
)
def test_faults_before_the_answer(
    proxy: RunningProxy, upstream: UpstreamThread, fault: ScriptedResponse, status: int, says: str
) -> None:
    with proxy.client(tunnel=True, http2=True) as client:
        upstream.script(fault, json_answer(COMPLETION))
        answer = client.post(URL, json={"model": f"m{status}", "messages": [{}]})
        assert answer.status_code == status
        assert says in answer.json()["error"]["message"]
        assert client.post(URL, json={"messages": [{}]}).json() == COMPLETION


@pytest.mark.parametrize("step", [Cut(), Hang()], ids=["cut", "silence"])
def test_faults_in_the_stream(
    proxy: RunningProxy, upstream: UpstreamThread, step: Cut | Hang
) -> None:
    with proxy.client(tunnel=True, http2=True) as client:
        upstream.script(sse_answer(EVENT, step), json_answer(COMPLETION))
        answer = client.post(URL, json={"messages": [{}], "stream": True})
        last = answer.text.strip().rpartition("data: ")[2]
        assert json.loads(last)["error"]["message"]
        assert client.post(URL, json={"messages": [{}]}).json() == COMPLETION


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_the_next_attempt_on_the_same_connection(
    proxy: RunningProxy, upstream: UpstreamThread, name: str, stream: bool
) -> None:
    number = list(FAULTS).index(name) * 2 + stream
    body = {"model": f"best{number}", "messages": [{}], "stream": stream}
    with proxy.client(tunnel=True, http2=True) as client:
        upstream.script(
            FAULTS[name], sse_answer(EVENT, LAST) if stream else json_answer(COMPLETION)
        )
        answer = client.post(URL, json=body)
        assert answer.status_code == 200
        assert answer.text.count("hi") == 1
        assert answer.text.count("[DONE]") == stream
        assert "error" not in answer.text
        upstream.script(json_answer(COMPLETION))
        assert client.post(URL, json=body | {"stream": False}).json() == COMPLETION

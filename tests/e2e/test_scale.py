"""Two proxies behind HAProxy, with the configuration of `deploy/`."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from addon.demo.simulator import json_answer
from tests.e2e.test_process import LLM_PROXY
from tests.e2e.test_stop import CHAT, PROMPT, refuses, running_stream
from tests.harness import CLIENT_KEY, ENVIRON
from tests.process import ROOT, RunningProcess, running_process
from tests.upstream import UpstreamThread, eventually

HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
CONFIG = ROOT / "deploy" / "haproxy.cfg"
SESSIONS = [f"session-{number}" for number in range(12)]
COMPLETION = {"choices": [{"index": 0, "message": {"content": "hi"}}]}

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy")


class Scale(NamedTuple):
    """`url` is HAProxy's, in front of the two processes."""

    url: str
    processes: tuple[RunningProcess, RunningProcess]
    ca: Path

    def client(self, session: str, **options: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {CLIENT_KEY}", "x-session-id": session}
        options = {"base_url": self.url, **options}
        return httpx.Client(headers=headers, trust_env=False, timeout=20, **options)

    def through(self, password: str | None) -> httpx.Client:
        """A client that has HAProxy as its HTTPS proxy."""
        url = httpx.URL(self.url)
        if password:
            url = url.copy_with(username="x", password=password)
        verify = ssl.create_default_context(cafile=self.ca)
        return self.client("tunnel", base_url="", proxy=str(url), verify=verify)

    def ask(self, session: str, text: str, at: str | None = None) -> str:
        """What the session is told, by way of HAProxy or by one process."""
        prompt = {"messages": [{"role": "user", "content": text}]}
        with self.client(session, base_url=at or self.url) as client:
            answer = client.post(CHAT, json=prompt)
        return str(answer.json()["choices"][0]["message"]["content"])

    def knows(self, session: str, at: str | None = None) -> bool:
        """Whether the project that was set in the session is in force there."""
        return f"project: {session}" in self.ask(session, "!/status", at)


@pytest.fixture
def scale(tmp_path: Path, confdir: Path, upstream: UpstreamThread) -> Iterator[Scale]:
    command = [*LLM_PROXY, "--disable-interactive-mode", "--", "--set", f"confdir={confdir}"]
    environ = ENVIRON | {"OPENROUTER_API_BASE_URL": upstream.simulator.openrouter_url}
    with contextlib.ExitStack() as stack:

        def start(name: str) -> RunningProcess:
            directory = tmp_path / name
            directory.mkdir()
            return stack.enter_context(running_process(directory, command, environ))

        processes = start("one"), start("two")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = CONFIG.read_text().replace("127.0.0.1:8000", f"fd@{listener.fileno()}")
        for number, process in enumerate(processes, 1):
            config = config.replace(
                f"127.0.0.1:800{number}", httpx.URL(process.url).netloc.decode()
            )
        (tmp_path / "haproxy.cfg").write_text(config)
        haproxy = subprocess.Popen(
            [str(HAPROXY), "-q", "-db", "-f", str(tmp_path / "haproxy.cfg")],
            pass_fds=[listener.fileno()],
        )
        stack.enter_context(haproxy)
        stack.callback(haproxy.terminate)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Scale(url, processes, confdir / "mitmproxy-ca-cert.pem")


def test_two_processes(scale: Scale, upstream: UpstreamThread) -> None:
    first, second = scale.processes
    for session in SESSIONS:
        scale.ask(session, f"!/set(project={session})")
    assert all(scale.knows(SESSIONS[0]) for _ in range(20))
    of_first = [session for session in SESSIONS if scale.knows(session, first.url)]
    of_second = [session for session in SESSIONS if scale.knows(session, second.url)]
    assert of_first
    assert of_second
    assert sorted(of_first + of_second) == sorted(SESSIONS)

    upstream.script(json_answer(COMPLETION))
    with scale.through(CLIENT_KEY) as client:
        assert client.post(f"https://api.openai.com{CHAT}", json=PROMPT).json() == COMPLETION
    for password in (None, "wrong"):
        with scale.through(password) as client, pytest.raises(httpx.ProxyError, match="407"):
            client.post(f"https://api.openai.com{CHAT}", json=PROMPT)

    with (
        scale.client(of_first[0]) as client,
        running_stream(client, upstream) as stream,
    ):
        first.popen.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses(first.url))
        assert not any(scale.knows(session) for session in of_first)
        assert all(scale.knows(session) for session in of_second)
        stream.gate.open()
        assert list(stream.lines)[-1] == "data: [DONE]"
    assert first.popen.wait(20) == 0

"""mitmdump's script broken, gone or half loaded while it runs: nothing is let through meanwhile."""

import json
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_process import MITMDUMP, SCRIPT
from tests.harness import CLIENT_KEY, ENVIRON
from tests.process import running_process
from tests.upstream import UpstreamThread, eventually

CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}
LATE = """
class Late:
    def load(self, loader):
        raise RuntimeError("a bug")

addons.append(Late())
"""


def append(text: str) -> Callable[[Path], object]:
    return lambda script: script.write_text(script.read_text() + text)


BREAKS: dict[str, Callable[[Path], object]] = {
    "it does not parse": append("x x\n"),
    "an import fails": append("import no_such_module\n"),
    "its load fails late": append(LATE),
    "it has another addon": append("addons = []\n"),
    "it is gone": Path.unlink,
}


@pytest.mark.parametrize("name", BREAKS)
def test_nothing_passes_until_it_is_back(
    tmp_path: Path, confdir: Path, upstream: UpstreamThread, original: UpstreamThread, name: str
) -> None:
    """`original` is the listed host that the agent believes to talk to."""
    script, entry = tmp_path / "script" / "llm_proxy.py", Path(SCRIPT[1])
    script.parent.mkdir()
    shutil.copy(entry, script)
    (tmp_path / "proxy.yaml").write_text(json.dumps({"intercept_hosts": ["localhost"]}))
    environ = ENVIRON | {"OPENROUTER_API_BASE_URL": upstream.simulator.openrouter_url}
    ca = confdir / "mitmproxy-ca-cert.pem"
    options = [f"confdir={confdir}", f"ssl_verify_upstream_trusted_ca={ca}"]
    command = [*MITMDUMP, "-s", str(script), *(x for each in options for x in ("--set", each))]
    with running_process(tmp_path, command, environ) as process:
        client = Client(process.url, ssl.create_default_context(cafile=ca))
        host = original.simulator.url
        assert client.ask(process.url) == 200
        assert client.tunnel(host) == 200
        with socket.create_connection(("127.0.0.1", client.port)) as tunnel:
            target = f"127.0.0.1:{upstream.simulator.port}"
            tunnel.sendall(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
            tunnel.settimeout(5)
            assert b"200" in tunnel.recv(4096)
            before = upstream.simulator.connections
            BREAKS[name](script)
            assert eventually(lambda: client.ask(process.url) == 503)
            assert tunnel.recv(4096) == b""
        assert client.tunnel(host) == 503
        assert client.ask(host.replace("https", "http")) == 503
        assert client.tunnel(f"https://{target}") == 503
        assert upstream.simulator.connections == before
        assert original.simulator.connections == 0

        script.write_text(entry.read_text())
        assert eventually(lambda: client.ask(process.url) == 200)
        assert client.tunnel(host) == 200
        assert original.simulator.connections == 0


class Client:
    """Each prompt on a connection of its own; both return the status that came of it."""

    def __init__(self, url: str, trust: ssl.SSLContext) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._trust = trust

    def ask(self, base_url: str) -> int:
        """By the base URL, or by the proxy as a plain HTTP request."""
        return self._post(base_url, None if base_url == self.url else self.url)

    def tunnel(self, base_url: str) -> int:
        try:
            return self._post(base_url, self.url)
        except httpx.ProxyError as error:
            return int(str(error).split()[0])

    def _post(self, base_url: str, proxy: str | None) -> int:
        with httpx.Client(proxy=proxy, verify=self._trust, trust_env=False) as client:
            headers = {"authorization": f"Bearer {CLIENT_KEY}"}
            try:
                answer = client.post(f"{base_url}/v1/chat/completions", json=CHAT, headers=headers)
            except (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError):
                return 0  # the connection was cut in the middle of a reload
            if answer.status_code == 503:
                assert answer.json()["error"]["type"] == "server_error"
            return answer.status_code

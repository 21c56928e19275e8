"""What reaches the host that the client believes to talk to, and what must not."""

import base64
import json
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from mitmproxy import http

from addon.endpoints import Place
from addon.exchange import Exchange
from addon.proxy import LlmProxy
from addon.simulator import Received, json_answer
from commands.config import Settings, SettingsError, load
from tests.harness import CLIENT_KEY, RunningProxy, running_proxy
from tests.upstream import UpstreamThread

CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}


def basic(password: str) -> dict[str, str]:
    token = base64.b64encode(f"x:{password}".encode()).decode()
    return {"proxy-authorization": f"Basic {token}"}


class TestOriginalHost:
    """`localhost` is a listed LLM host here."""

    def run(
        self, confdir: Path, upstream: UpstreamThread, addon_class: type[LlmProxy] = LlmProxy
    ) -> AbstractContextManager[RunningProxy]:
        return running_proxy(
            confdir,
            addon_class=addon_class,
            with_view=True,
            options={"ssl_verify_upstream_trusted_ca": str(confdir / "mitmproxy-ca-cert.pem")},
            openrouter_api_base_url=upstream.simulator.openrouter_url,
            gemini_api_base_url=upstream.simulator.gemini_url,
            intercept_hosts=["localhost"],
        )

    def test_a_routed_request_never_reaches_it(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread
    ) -> None:
        with self.run(confdir, upstream) as proxy, proxy.client(tunnel=True) as client:
            for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
                assert client.post(f"{original.simulator.url}{path}", json=CHAT).status_code == 200
            assert client.get(f"{original.simulator.url}/v1/chat/completions").status_code == 405
            assert client.get(f"{original.simulator.url}/v1/models").json()["object"] == "list"
            denied = client.post(
                f"{original.simulator.url}/v1/chat/completions",
                json=CHAT,
                headers={"authorization": ""},
            )
            assert denied.status_code == 401
        assert original.simulator.connections == 0

    def test_another_name_for_it_does_not_help(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread
    ) -> None:
        """An address in CONNECT, the name only in SNI and the Host header."""
        port = original.simulator.port
        with self.run(confdir, upstream) as proxy:
            answer = subprocess.run(
                [
                    "curl",
                    "-sS",
                    "--proxy",
                    proxy.url,
                    "--cacert",
                    str(proxy.ca),
                    "--connect-to",
                    f"localhost:{port}:127.0.0.1:{port}",
                    "-H",
                    f"Authorization: Bearer {CLIENT_KEY}",
                    "-d",
                    json.dumps(CHAT),
                    f"https://localhost:{port}/v1/chat/completions",
                ],
                capture_output=True,
                check=True,
            )
        assert json.loads(answer.stdout)["object"] == "chat.completion"
        assert original.simulator.connections == 0

    @pytest.mark.parametrize("bug", ["request headers", "request", "response headers"])
    def test_a_bug_in_a_hook_does_not_open_the_way(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread, bug: str
    ) -> None:
        before = len(prompts_of(upstream))
        with self.run(confdir, upstream, BUGS[bug]) as proxy, proxy.client(tunnel=True) as client:
            for _ in range(2):
                answer = client.post(
                    f"{original.simulator.url}/v1/chat/completions", json=CHAT | {"stream": True}
                )
                assert answer.status_code == 500
                assert answer.json()["error"]["type"] == "server_error"
                assert "Internal error of the proxy" in answer.json()["error"]["message"]
        routed = 2 if bug == "response headers" else 0
        assert len(prompts_of(upstream)) == before + routed
        assert original.simulator.connections == 0

    def test_other_paths_go_there_as_they_are(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread
    ) -> None:
        cookie = ("set-cookie", "sid=the-cookie")
        original.script(json_answer({"id": "file"}, headers=[cookie]), path="/v1/files")
        with self.run(confdir, upstream) as proxy, proxy.client(tunnel=True) as client:
            answer = client.post(
                f"{original.simulator.url}/v1/files?a=b&key=the-key-in-the-query",
                content=b"the file",
                headers={"authorization": "Bearer the-agent's-own-key", "x-other": CLIENT_KEY},
            )
            assert answer.json() == {"id": "file"}
            assert answer.headers["set-cookie"] == "sid=the-cookie"
            (flow,) = proxy.flows
        shown = str(flow.get_state())
        for secret in ("the-agent's-own-key", CLIENT_KEY, "the-key-in-the-query", "the-cookie"):
            assert secret not in shown
        assert flow.request.path == "/v1/files?a=b&key=(hidden)"
        assert flow.comment.startswith("not an LLM endpoint")
        received = original.simulator.requests[-1]
        assert received.path == "/v1/files?a=b&key=the-key-in-the-query"
        assert received.body == b"the file"
        assert received.header("authorization") == "Bearer the-agent's-own-key"
        assert CLIENT_KEY not in str(received)


def prompts_of(upstream: UpstreamThread) -> list[Received]:
    return [request for request in upstream.simulator.requests if request.method == "POST"]


class BrokenPlace(LlmProxy):
    def _place_of(self, flow: http.HTTPFlow) -> Place:
        raise RuntimeError("a bug")


class BrokenLayers(LlmProxy):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        del self._rules

    def done(self) -> None:
        pass


class BrokenHandler(LlmProxy):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)

        async def broken(flow: http.HTTPFlow, exchange: Exchange) -> None:
            raise RuntimeError("a bug")

        self._handlers.table = {"chat": broken}


class BrokenHeaders(LlmProxy):
    def _stream(self, *args: object) -> None:
        raise RuntimeError("a bug")


BUGS = {
    "request headers": BrokenPlace,
    "request": BrokenHandler,
    "response headers": BrokenHeaders,
}


def test_other_hosts_are_tunnelled_undecrypted(
    confdir: Path, upstream: UpstreamThread, original: UpstreamThread
) -> None:
    """`localhost` is not listed here; the client sees the host's own certificate."""
    base_url = upstream.simulator.openrouter_url
    with (
        running_proxy(confdir, openrouter_api_base_url=base_url) as proxy,
        proxy.client(tunnel=True) as client,
    ):
        answer = client.post(f"{original.simulator.url}/v1/chat/completions", json=CHAT)
    assert answer.status_code == 404
    assert original.simulator.requests[-1].header("authorization") == f"Bearer {CLIENT_KEY}"


class TestExposed:
    """Listening on more than loopback."""

    def test_it_is_no_open_proxy(self, confdir: Path, upstream: UpstreamThread) -> None:
        with running_proxy(
            confdir, host="0.0.0.0", openrouter_api_base_url=upstream.simulator.openrouter_url
        ) as proxy:
            with httpx.Client(proxy=proxy.url, trust_env=False) as stranger:
                with pytest.raises(httpx.ProxyError, match="407"):
                    stranger.get("https://example.com/")
                assert stranger.get(f"{upstream.simulator.url}/secret").status_code == 407
            assert proxy.client().post("/v1/chat/completions", json=CHAT).status_code == 200

    def test_it_is_no_door_to_its_own_machine(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread
    ) -> None:
        with (
            running_proxy(
                confdir, host="0.0.0.0", openrouter_api_base_url=upstream.simulator.openrouter_url
            ) as proxy,
            httpx.Client(proxy=proxy.url, headers=basic(CLIENT_KEY), trust_env=False) as client,
        ):
            for host in ("127.0.0.1", "localhost", "0.0.0.0"):
                answer = client.get(f"http://{host}:{original.simulator.port}/")
                assert answer.status_code == 502
        assert original.simulator.connections == 0

    def test_it_does_not_run_without_a_key(self, confdir: Path) -> None:
        with pytest.raises(SettingsError, match="disable-auth"):
            load({"host": "0.0.0.0", "disable_auth": True}, {}, confdir)


def test_a_bug_in_choosing_layers_does_not_open_the_way(
    confdir: Path, upstream: UpstreamThread
) -> None:
    before = upstream.simulator.connections
    with (
        running_proxy(confdir, addon_class=BrokenLayers) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
    ):
        port = upstream.simulator.port
        client.sendall(f"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert client.recv(4096) == b""
    assert upstream.simulator.connections == before


def test_without_authentication(confdir: Path, upstream: UpstreamThread) -> None:
    with running_proxy(
        confdir, disable_auth=True, openrouter_api_base_url=upstream.simulator.openrouter_url
    ) as proxy:
        assert httpx.post(f"{proxy.url}/v1/chat/completions", json=CHAT).status_code == 200

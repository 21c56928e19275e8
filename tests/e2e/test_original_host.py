"""What reaches the host that the client believes to talk to, and what must not."""

import base64
import json
import socket
import ssl
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addon.demo.simulator import ReceivedRequest, json_answer
from addon.endpoints.admission import Admission
from addon.endpoints.table import HostKind
from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import ResponseBuilder
from addon.proxy import LlmProxy
from commands.config.levels import ConfigError
from commands.config.load import load
from commands.config.model import Config
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

    @pytest.mark.parametrize(
        "path",
        [
            "//v1/chat/completions",
            "/v1/chat%2Fcompletions",
            "/v1/chat;x/completions",
            "/V1/CHAT/COMPLETIONS",
            "/v1/chat/files/../completions",
        ],
    )
    def test_another_spelling_of_a_path_does_not_help(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread, path: str
    ) -> None:
        with self.run(confdir, upstream) as proxy:
            answer = raw_request(proxy, "localhost", original.simulator.port, path)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert original.simulator.connections == 0

    @pytest.mark.parametrize("name", ["LOCALHOST", "localhost.", "LocalHost."])
    def test_another_spelling_of_its_name_does_not_help(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread, name: str
    ) -> None:
        with self.run(confdir, upstream) as proxy:
            answer = raw_request(proxy, name, original.simulator.port)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert original.simulator.connections == 0

    def test_tls_that_was_opened_for_nobody_we_know_ends_here(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread
    ) -> None:
        with self.run(confdir, upstream, Forgetful) as proxy:
            answer = raw_request(proxy, "localhost", original.simulator.port)
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"not in intercept_hosts" in answer
        assert original.simulator.connections == 0

    @pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/responses/input_tokens"])
    def test_prompts_that_we_do_not_serve_do_not_go_there(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread, path: str
    ) -> None:
        with self.run(confdir, upstream) as proxy, proxy.client(tunnel=True) as client:
            for url in (original.simulator.url, proxy.url):
                answer = client.post(f"{url}{path}", json={"model": "demo/echo", "input": "hi"})
                assert answer.status_code == 404
                message = answer.json()["error"]["message"]
                assert message == f"{path} is not supported by this proxy"
        assert original.simulator.connections == 0

    def test_two_names_for_one_host_are_refused(
        self, confdir: Path, upstream: UpstreamThread, original: UpstreamThread
    ) -> None:
        port = original.simulator.port
        with self.run(confdir, upstream) as proxy:
            twice = raw_request(proxy, "localhost", port, "/v1/files", "host: other")
            assert twice.startswith(b"HTTP/1.1 400 ")
            for other in (f"localhost:{port}", "other"):
                assert http2_status(proxy, port, [other, f"localhost:{port}"]) == b"400"
            assert original.simulator.connections == 0
            original.script(json_answer({"id": "file"}), path="/v1/files")
            assert http2_status(proxy, port, [f"localhost:{port}"]) == b"200"

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


def tunnel_to(proxy: RunningProxy, name: str, port: int) -> socket.socket:
    """The client's end of a tunnel, for which the proxy password was shown."""
    password = basic(CLIENT_KEY)["proxy-authorization"]
    head = f"CONNECT {name}:{port} HTTP/1.1\r\nhost: {name}:{port}\r\n"
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    client.sendall(f"{head}proxy-authorization: {password}\r\n\r\n".encode())
    assert b" 200 " in client.recv(4096)
    return client


def tls_to(proxy: RunningProxy, name: str, port: int, alpn: str) -> ssl.SSLSocket:
    """TLS with whoever the tunnel leads to; the name is sent exactly as it is spelled."""
    context = ssl.create_default_context(cafile=proxy.ca)
    context.check_hostname = False
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(tunnel_to(proxy, name, port), server_hostname=name)


def raw_request(
    proxy: RunningProxy, name: str, port: int, path: str = "/v1/chat/completions", *fields: str
) -> bytes:
    """The answer to a prompt that is sent to exactly this host and path."""
    body = json.dumps(CHAT)
    head = [
        f"POST {path} HTTP/1.1",
        f"host: {name}:{port}",
        *fields,
        f"authorization: Bearer {CLIENT_KEY}",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    with tls_to(proxy, name, port, "http/1.1") as client:
        client.sendall("\r\n".join([*head, "", body]).encode())
        return b"".join(iter(lambda: client.recv(65536), b""))


def plain_request(proxy: RunningProxy, url: str) -> bytes:
    """The answer to a GET that shows the proxy password."""
    password = basic(CLIENT_KEY)["proxy-authorization"]
    head = f"GET {url} HTTP/1.1\r\nhost: x\r\nproxy-authorization: {password}\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(f"{head}connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b""))


def http2_status(proxy: RunningProxy, port: int, hosts: list[str]) -> bytes:
    """The status of the answer to a GET with these Host fields beside its :authority."""
    settings = h2.config.H2Configuration(validate_outbound_headers=False, header_encoding=None)
    connection = h2.connection.H2Connection(settings)
    head = {":method": "GET", ":scheme": "https", ":path": "/v1/files"}
    fields = [*head.items(), (":authority", f"localhost:{port}"), *(("host", x) for x in hosts)]
    with tls_to(proxy, "localhost", port, "h2") as client:
        connection.initiate_connection()
        connection.send_headers(1, fields, end_stream=True)
        client.sendall(connection.data_to_send())
        while data := client.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return bytes(dict(event.headers)[b":status"])
            client.sendall(connection.data_to_send())
    raise AssertionError("no answer")


def prompts_of(upstream: UpstreamThread) -> list[ReceivedRequest]:
    return [request for request in upstream.simulator.requests if request.method == "POST"]


class BrokenAdmission(Admission):
    def host_kind(self, flow: http.HTTPFlow) -> HostKind:
        raise RuntimeError("a bug")


class ForgetfulAdmission(Admission):
    def host_kind(self, flow: http.HTTPFlow) -> HostKind:
        return HostKind.OTHER


class BrokenHost(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings)
        self._admission = BrokenAdmission(settings, self._access, self._shutdown.track)


class Forgetful(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings)
        self._admission = ForgetfulAdmission(settings, self._access, self._shutdown.track)


class BrokenLayers(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings)
        del self._layer_deps

    def done(self) -> None:
        pass


class BrokenHandler(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings)

        async def broken(flow: http.HTTPFlow, exchange: Exchange) -> None:
            raise RuntimeError("a bug")

        self._handlers.table = {"chat": broken}


class BrokenStream(ResponseBuilder):
    def stream(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        raise RuntimeError("a bug")


class BrokenHeaders(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings)
        self._responses = BrokenStream(self._redactor, settings.max_body_mib * 2**20)


BUGS = {
    "request headers": BrokenHost,
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
            for host in ("[::ffff:0:0]", "[::ffff:127.0.0.1]"):  # httpx takes off the brackets
                url = f"http://{host}:{upstream.simulator.port}/api/v1/models"
                assert plain_request(proxy, url).startswith(b"HTTP/1.1 502 ")
        assert original.simulator.connections == 0

    def test_a_name_that_changes_its_address_does_not_help(
        self, confdir: Path, upstream: UpstreamThread
    ) -> None:
        """What was checked before is not where the connection leads: not a byte goes there."""
        url = upstream.simulator.openrouter_url
        with (
            UpstreamThread() as inside,
            running_proxy(confdir, host="0.0.0.0", openrouter_api_base_url=url) as proxy,
        ):
            port = inside.simulator.port

            class Rebinding:
                def server_connect(self, data: ServerConnectionHookData) -> None:
                    data.server.address = ("127.0.0.1", port)

            proxy.add(Rebinding())
            answer = plain_request(proxy, f"http://192.0.2.1:{port}/api/v1/models")
            assert answer.startswith(b"HTTP/1.1 502 ")
            with tunnel_to(proxy, "192.0.2.1", port) as tunnel:
                tunnel.sendall(b"GET /api/v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
                assert tunnel.recv(4096) == b""
            assert proxy.client().post("/v1/chat/completions", json=CHAT).status_code == 502
            assert inside.simulator.requests == []

    def test_it_does_not_run_without_a_key(self, confdir: Path) -> None:
        with pytest.raises(ConfigError, match="disable-auth"):
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


def test_without_authentication_only_own_names_are_served(
    confdir: Path, upstream: UpstreamThread
) -> None:
    with running_proxy(
        confdir,
        disable_auth=True,
        allowed_hosts=["box.lan"],
        openrouter_api_base_url=upstream.simulator.openrouter_url,
    ) as proxy:
        for name, status in (("evil.example", 403), ("Box.LAN", 200), ("localhost", 200)):
            host = f"{name}:{proxy.port}"
            for headers in ({"host": host}, {"host": host, "origin": f"http://{host.lower()}"}):
                answer = httpx.post(f"{proxy.url}/v1/chat/completions", json=CHAT, headers=headers)
                assert answer.status_code == status

"""An agent's own credentials reach the host that it addresses, and no flow ever holds them."""

import signal
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from mitmproxy.tools.web.app import flow_to_json

from addon import layers
from addon.demo.simulator import Gate, Wait, json_answer, sse_answer
from addon.loopback.script import ScriptedResponse
from tests.e2e.test_original_host import tls_to
from tests.e2e.test_unlayered import MISFIT, Unlayered
from tests.harness import CLIENT_KEY, RunningProxy, running_proxy
from tests.process import running_process
from tests.upstream import UpstreamThread, eventually

ENVIRON_WITHOUT_BACKENDS = {"LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY}
LLM_PROXY = str(Path(sys.executable).with_name("llm-proxy"))
RANDOM = "q7Rt2kZ9xWb4Nn8pLs3V"
HEADERS = [
    ("authorization", "Bearer agents-secret-1"),
    ("x-api-key", "agents-secret-2"),
    ("Anthropic-Api-Key", "agents-secret-3"),
    ("x-auth-token", "agents-secret-4"),
    ("cookie", "sid=agents-secret-5; a=b"),
    ("sec-websocket-protocol", "realtime, openai-insecure-api-key.agents-secret-6"),
    ("x-vendor-access", f"sk-agents-secret-7-{RANDOM}"),
    ("x-whatever", RANDOM),
]
QUERY = (
    "a=b&key=agents-secret-8&sig=agents-secret-9&client_secret=agents-secret-10"
    "&x-goog-api-key=agents-secret-11&code=agents-secret-12&access_token=agents-secret-13"
)
COOKIES = [("set-cookie", "sid=agents-secret-14"), ("set-cookie", "b=agents-secret-15")]
SECRETS = ("agents-secret", RANDOM)
PATH = "/v1/files"


@pytest.fixture
def proxy(confdir: Path) -> Iterator[RunningProxy]:
    with running_proxy(confdir, with_view=True, **listing_localhost(confdir)) as started:
        yield started


def listing_localhost(confdir: Path) -> dict[str, object]:
    """For the proxy `localhost` is a listed LLM host, and `original` has a valid certificate."""
    ca = str(confdir / "mitmproxy-ca-cert.pem")
    return {
        "environ": ENVIRON_WITHOUT_BACKENDS,
        "options": {"ssl_verify_upstream_trusted_ca": ca},
        "intercept_hosts": ["localhost"],
    }


class Running(NamedTuple):
    """A response whose first line has arrived; the rest waits at the gate."""

    response: httpx.Response
    lines: Iterator[str]
    gate: Gate


@contextmanager
def running(client: httpx.Client, original: UpstreamThread) -> Iterator[Running]:
    gate = Gate()
    answer = sse_answer("first", Wait(gate), "last", headers=COOKIES)
    original.script(answer, path=PATH)
    url = f"{original.simulator.url}{PATH}?{QUERY}"
    try:
        with client.stream("POST", url, content=b"the body", headers=HEADERS) as response:
            lines = (line for line in response.iter_lines() if line)
            assert next(lines) == "data: first"
            yield Running(response, lines, gate)
    finally:
        gate.open()


def assert_sent(original: UpstreamThread, response: httpx.Response) -> None:
    """Byte for byte, in both directions."""
    received = original.simulator.requests[-1]
    assert received.path.removeprefix(original.simulator.url) == f"{PATH}?{QUERY}"
    names = {name.lower() for name, _ in HEADERS}
    fields = [(name, value) for name, value in received.headers if name in names]
    assert sorted(fields) == sorted((name.lower(), value) for name, value in HEADERS)
    assert received.body == b"the body"
    assert response.headers.get_list("set-cookie") == [value for _, value in COOKIES]


def assert_hidden(proxy: RunningProxy, flows: Sequence[http.HTTPFlow]) -> None:
    """In all that mitmweb shows, exports and saves."""
    assert flows
    shown = [str(flow_to_json(flow)) + str(flow.get_state()) for flow in flows]
    shown += [proxy.command("export", "curl", f"@{flow.id}") for flow in flows]
    for text in shown:
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1", "HTTP/2"])
def test_while_it_runs_and_afterwards(
    proxy: RunningProxy, original: UpstreamThread, *, http2: bool
) -> None:
    with (
        proxy.client(tunnel=True, http2=http2) as client,
        running(client, original) as (response, lines, gate),
    ):
        assert_hidden(proxy, proxy.flows)
        (flow,) = proxy.flows
        assert flow.request.headers["authorization"] == "(hidden)"
        assert flow.request.path.startswith(f"{PATH}?a=b&key=(hidden)&sig=(hidden)")
        gate.open()
        assert list(lines) == ["data: last", "data: [DONE]"]
        assert_sent(original, response)
    assert eventually(lambda: not flow.live)
    assert_hidden(proxy, proxy.flows)
    assert flow.response
    assert flow.response.headers.get_all("set-cookie") == ["(hidden)", "(hidden)"]
    assert not proxy.addon._passing


def test_when_it_is_killed(proxy: RunningProxy, original: UpstreamThread) -> None:
    with proxy.client(tunnel=True) as client, running(client, original) as (_, lines, gate):
        (flow,) = proxy.flows
        proxy.command("flow.kill", f"@{flow.id}")
        assert_hidden(proxy, [flow])
        gate.open()
        with suppress(httpx.HTTPError):
            list(lines)
    assert eventually(lambda: not proxy.addon._passing)
    assert_hidden(proxy, [flow])


@pytest.mark.parametrize("status", [204, 302, 304])
def test_cookies_of_responses_without_a_body(
    proxy: RunningProxy, original: UpstreamThread, status: int
) -> None:
    bare = ScriptedResponse(status, tuple(COOKIES), framing="length")
    original.script(bare, path=PATH)
    with proxy.client(tunnel=True) as client:
        response = client.get(f"{original.simulator.url}{PATH}")
    assert response.status_code == status
    assert response.headers.get_list("set-cookie") == [value for _, value in COOKIES]
    assert_hidden(proxy, proxy.flows)


def test_in_saved_files_when_the_proxy_is_stopped(
    tmp_path: Path, confdir: Path, original: UpstreamThread
) -> None:
    ca = confdir / "mitmproxy-ca-cert.pem"
    flags = [
        *("--set", f"confdir={confdir}", "--set", f"ssl_verify_upstream_trusted_ca={ca}"),
        *("-w", "flows.mitm", "--set", "hardump=flows.har", "--set", "flow_detail=4"),
        *("-v", "--set", "proxy_debug=true"),
    ]
    settings = tmp_path / "settings.yaml"
    settings.write_text("intercept_hosts: [localhost]\nstop_timeout: 0.1\n")
    with running_process(
        tmp_path,
        [LLM_PROXY, "--log", "proxy.log", "--", *flags],
        ENVIRON_WITHOUT_BACKENDS | {"LLM_PROXY_SETTINGS": str(settings)},
    ) as process:
        verify = ssl.create_default_context(cafile=ca)
        with (
            httpx.Client(proxy=process.url, verify=verify, trust_env=False) as client,
            running(client, original) as (response, *_),
        ):
            assert_sent(original, response)
            with running(client, original) as (response, lines, gate):  # only it gets into the HAR
                gate.open()
                list(lines)
            process.popen.send_signal(signal.SIGINT)
            process.popen.wait(20)
    written = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with (tmp_path / "flows.mitm").open("rb") as file:
        paths = [flow.request.path for flow in FlowReader(file).stream()]  # type: ignore[attr-defined]
    assert len([path for path in paths if path.startswith(PATH)]) == 2
    assert PATH.encode() in written["flows.har"]
    for name, content in written.items():
        # With `proxy_debug` the log has all bytes received. Keys without a known form stay there.
        is_log = name in ("output.txt", "proxy.log")
        for secret in SECRETS[: 1 if is_log else None]:
            assert secret.encode() not in content, name


REFUSED = [
    ("POST", "/v1beta/models/gemini-pro:nothing?key=agents-secret-1", 404),
    ("GET", "/v1/chat/completions?key=agents-secret-1", 405),
    ("POST", "/v1/chat/completions?code=agents-secret-1", 401),
]


@pytest.mark.parametrize(("method", "path", "status"), REFUSED)
def test_in_refused_requests(proxy: RunningProxy, method: str, path: str, status: int) -> None:
    headers = dict(HEADERS)
    if status == 405:
        headers["authorization"] = f"Bearer {CLIENT_KEY}"
    response = httpx.request(method, f"{proxy.url}{path}", headers=headers, trust_env=False)
    assert response.status_code == status
    assert not [secret for secret in SECRETS if secret in response.text]
    assert_hidden(proxy, proxy.flows)


@pytest.mark.parametrize("place", ["header", "query"])
def test_the_client_key_never_passes_through(
    proxy: RunningProxy, original: UpstreamThread, place: str
) -> None:
    original.script(json_answer({}), path=PATH)
    url = f"{original.simulator.url}{PATH}"
    with proxy.client(tunnel=True, headers={"authorization": "", "x-a": "b"}) as client:
        if place == "header":
            auth = httpx.BasicAuth("me", CLIENT_KEY)
            assert client.get(url, auth=auth).status_code == 200
            assert original.simulator.requests[-1].header("authorization") is None
        else:
            response = client.get(url, params={"key": CLIENT_KEY})
            assert response.status_code == 400
            assert "client key" in response.json()["error"]["message"]
            assert not original.simulator.requests
            assert CLIENT_KEY not in str(proxy.flows[-1].get_state())


def test_another_host_gets_none_of_them(
    proxy: RunningProxy, original: UpstreamThread, upstream: UpstreamThread
) -> None:
    class Diverts:
        def request(self, flow: http.HTTPFlow) -> None:
            flow.request.host, flow.request.port = "127.0.0.1", upstream.simulator.port
            flow.request.scheme = "http"

    proxy.add(Diverts())
    upstream.script(json_answer({}), path=PATH)
    with proxy.client(tunnel=True, headers=dict(HEADERS)) as client:
        assert client.get(f"{original.simulator.url}{PATH}?{QUERY}").status_code == 200
    received = str(upstream.simulator.requests[-1])
    assert not [secret for secret in SECRETS if secret in received]


def test_without_our_layers(confdir: Path, original: UpstreamThread) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "incompatibility", lambda: MISFIT)
        with (
            running_proxy(
                confdir, with_view=True, addon_class=Unlayered, **listing_localhost(confdir)
            ) as proxy,
            proxy.client(tunnel=True) as client,
        ):
            with running(client, original) as (response, lines, gate):
                gate.open()
                list(lines)
                assert_sent(original, response)
            (flow,) = proxy.flows
            assert eventually(lambda: not flow.live)
            assert_hidden(proxy, [flow])


@pytest.mark.parametrize("parent", [False, True], ids=["direct", "parent proxy"])
def test_hosts_of_plain_http_get_them(
    confdir: Path, upstream: UpstreamThread, *, parent: bool
) -> None:
    """The simulator takes the requests for a parent proxy, too."""
    modes = {"mode": [f"upstream:{upstream.simulator.url}"]} if parent else {}
    with (
        running_proxy(
            confdir, with_view=True, environ=ENVIRON_WITHOUT_BACKENDS, options=modes
        ) as proxy,
        httpx.Client(proxy=proxy.url, trust_env=False, headers=HEADERS) as client,
    ):
        url = f"{upstream.simulator.url}{PATH}"
        upstream.script(json_answer({}, headers=COOKIES), path=url if parent else PATH)
        response = client.post(f"{url}?{QUERY}", content=b"the body")
        assert_sent(upstream, response)
        assert_hidden(proxy, proxy.flows)


def test_websockets_get_them(proxy: RunningProxy, original: UpstreamThread) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    hello = b"\x81\x05hello"
    answer = ScriptedResponse.raw(switch + b"set-cookie: a=agents-secret-1\r\n\r\n", hello)
    original.script(answer, path=PATH)
    head = [
        f"GET {PATH}?{QUERY} HTTP/1.1",
        f"host: localhost:{original.simulator.port}",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        *(f"{name}: {value}" for name, value in HEADERS),
    ]
    port = original.simulator.port
    with tls_to(proxy, "localhost", port, "http/1.1") as client:
        client.sendall("\r\n".join([*head, "", ""]).encode())
        received = b""
        while not received.endswith(hello):
            received += client.recv(65536)
        assert b"set-cookie: a=agents-secret-1" in received
        assert_hidden(proxy, proxy.flows)
    sent = original.simulator.requests[-1]
    assert sent.path == f"{PATH}?{QUERY}"
    assert sent.header("sec-websocket-protocol") == dict(HEADERS)["sec-websocket-protocol"]

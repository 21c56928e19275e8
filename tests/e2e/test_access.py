"""Who is let in, and what our own paths answer."""

import socket
import ssl

import httpx
import pytest

from tests.harness import CLIENT_KEY, RunningProxy
from tests.upstream import UpstreamThread

CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}


class TestClientKey:
    @pytest.mark.parametrize(
        ("headers", "says"),
        [
            ({"authorization": ""}, "You didn't provide an API key"),
            ({"authorization": "Bearer wrong"}, "Incorrect API key provided"),
            ({"authorization": f"Basic {CLIENT_KEY}"}, "Incorrect API key provided"),
            ({"authorization": "Bearer w\u00f6rong"}, "Incorrect API key provided"),
        ],
    )
    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
    def test_without_it(
        self, proxy: RunningProxy, path: str, headers: dict[str, str], says: str
    ) -> None:
        raw = {name.encode(): value.encode() for name, value in headers.items()}
        answer = httpx.post(f"{proxy.url}{path}", headers=raw, content=b"not even JSON")
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert says in error["message"]

    def test_health_needs_none(self, proxy: RunningProxy) -> None:
        assert httpx.get(f"{proxy.url}/health").json() == {"status": "ok"}
        assert httpx.head(f"{proxy.url}/").status_code == 200

    def test_as_proxy_password(self, proxy: RunningProxy) -> None:
        address = proxy.url.replace("//", f"//x:{CLIENT_KEY}@")
        with httpx.Client(
            proxy=address, verify=ssl.create_default_context(cafile=proxy.ca), trust_env=False
        ) as client:
            headers = {"authorization": "Bearer the-agent's-own-key"}
            answer = client.post(
                "https://api.openai.com/v1/chat/completions", json=CHAT, headers=headers
            )
            assert answer.status_code == 200

    def test_a_wrong_proxy_password(self, proxy: RunningProxy) -> None:
        address = proxy.url.replace("//", "//x:wrong@")
        with (
            httpx.Client(
                proxy=address, verify=ssl.create_default_context(cafile=proxy.ca), trust_env=False
            ) as client,
            pytest.raises(httpx.ProxyError, match="407"),
        ):
            client.get("https://api.openai.com/")

    def test_in_a_tunnel_without_password(self, proxy: RunningProxy) -> None:
        with proxy.client(tunnel=True, headers={"authorization": "Bearer other"}) as client:
            answer = client.post("https://api.openai.com/v1/chat/completions", json=CHAT)
            assert answer.status_code == 401


class TestOwnPaths:
    @pytest.mark.parametrize(
        ("method", "path", "status", "says"),
        [
            ("GET", "/nothing", 404, "Invalid URL (GET /nothing)"),
            ("POST", "/v1/unknown?x=1", 404, "Invalid URL (POST /v1/unknown?x=1)"),
            ("GET", "/v1/chat/completions", 405, "use POST"),
            ("DELETE", "/v1/models", 405, "use GET, HEAD"),
            ("POST", "/health", 405, "use GET, HEAD"),
        ],
    )
    def test_refused(
        self, proxy: RunningProxy, method: str, path: str, status: int, says: str
    ) -> None:
        answer = proxy.client().request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert says in answer.json()["error"]["message"]

    def test_any_host_header_is_ours(self, proxy: RunningProxy) -> None:
        answer = proxy.client().post("/v1/chat/completions", json=CHAT, headers={"host": "box.lan"})
        assert answer.status_code == 200
        assert proxy.client().get("/", headers={"host": "box.lan:99"}).json()["base_url"] == (
            "http://box.lan:99/v1"
        )

    def test_as_plain_http_proxy(self, proxy: RunningProxy) -> None:
        """Some clients send base-URL requests through HTTP_PROXY, which points here as well."""
        with proxy.client(tunnel=True) as client:
            for host in ("127.0.0.1", "localhost"):
                url = f"http://{host}:{proxy.port}/v1/chat/completions"
                assert client.post(url, json=CHAT).status_code == 200

    def test_close_is_honoured(self, proxy: RunningProxy) -> None:
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            client.settimeout(5)
            received = b""
            while data := client.recv(4096):
                received += data
        assert b'{"status":"ok"}' in received


class TestBodies:
    def test_too_large_by_its_length(self, proxy: RunningProxy) -> None:
        answer = proxy.client().post("/v1/chat/completions", content=b"x" * (8 * 2**20 + 1))
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
        assert "8 MiB (setting max_body_mib)" in answer.json()["error"]["message"]

    def test_too_large_in_chunks(self, proxy: RunningProxy, upstream: UpstreamThread) -> None:
        before = len(upstream.simulator.requests)
        with proxy.client() as client:
            pieces = (b"x" * 2**20 for _ in range(10))
            answer = client.post("/v1/chat/completions", content=pieces)
            assert answer.status_code == 413
            assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert len(upstream.simulator.requests) == before + 1

    def test_compressed(self, proxy: RunningProxy) -> None:
        answer = proxy.client().post(
            "/v1/chat/completions", content=b"\x1f\x8bnot", headers={"content-encoding": "gzip"}
        )
        assert answer.status_code == 400
        assert "not valid gzip" in answer.json()["error"]["message"]


class TestBrowsers:
    def test_foreign_origins_are_refused(self, proxy: RunningProxy) -> None:
        for method, path in (("GET", "/health"), ("POST", "/v1/chat/completions")):
            answer = proxy.client().request(
                method, path, headers={"origin": "https://evil.example"}
            )
            assert answer.status_code == 403
            assert "allowed_origins" in answer.json()["error"]["message"]
            assert "access-control-allow-origin" not in answer.headers

    def test_rebound_names_are_refused(self, proxy: RunningProxy) -> None:
        evil = f"evil.example:{proxy.port}"
        for headers in ({"origin": f"http://{evil}"}, {"sec-fetch-site": "same-origin"}):
            answer = proxy.client().post(
                "/v1/chat/completions", json=CHAT, headers={"host": evil, **headers}
            )
            assert answer.status_code == 403
            assert "allowed_hosts" in answer.json()["error"]["message"]
            assert "access-control-allow-origin" not in answer.headers

    def test_other_sites_without_origin_are_refused(self, proxy: RunningProxy) -> None:
        headers = {"sec-fetch-site": "cross-site"}
        answer = proxy.client().post("/v1/chat/completions", json=CHAT, headers=headers)
        assert answer.status_code == 403

    def test_a_configured_origin(self, proxy: RunningProxy) -> None:
        headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
        preflight = httpx.options(f"{proxy.url}/v1/chat/completions", headers=headers)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        for stream in (False, True):
            answer = proxy.client().post(
                "/v1/chat/completions",
                json=CHAT | {"stream": stream},
                headers={"origin": "https://app.example"},
            )
            assert answer.status_code == 200
            assert answer.headers.get_list("access-control-allow-origin") == ["https://app.example"]

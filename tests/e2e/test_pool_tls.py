"""TLS of upstream connections that outlive the client connections they were made for."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from mitmproxy.certs import CertStore
from mitmproxy.tls import TlsData

from addon.demo.simulator import ScriptedResponse
from tests.e2e.test_pool import COMPLETION, GOOD, ask, used
from tests.harness import RunningProxy, running_proxy
from tests.upstream import UpstreamThread


def certificate(confdir: Path, name: str) -> ssl.SSLContext:
    """Of a server, signed by mitmproxy's CA."""
    entry = CertStore.from_store(confdir, "mitmproxy", 2048).get_cert(name, [x509.DNSName(name)])
    key = entry.privatekey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    pem = confdir / f"{name}.pem"
    pem.write_bytes(key + entry.cert.to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@contextmanager
def serving(
    confdir: Path,
    options: dict[str, Any],
    name: str = "localhost",
    highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Iterator[tuple[UpstreamThread, RunningProxy]]:
    """An upstream that says its name is this, and a proxy with mitmproxy's `options` before it."""
    context = certificate(confdir, name)
    context.maximum_version = highest
    with UpstreamThread("localhost", 0, context) as upstream:
        url = upstream.simulator.openrouter_url
        proxy = running_proxy(confdir, with_view=True, options=options, openrouter_api_base_url=url)
        with proxy as running:
            yield upstream, running


def trusting(confdir: Path, name: str = "mitmproxy-ca-cert.pem") -> dict[str, Any]:
    return {"ssl_verify_upstream_trusted_ca": str(confdir / name)}


class TestTls:
    @pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
    def test_one_handshake_for_many_clients(self, confdir: Path, http2: bool) -> None:
        with serving(confdir, trusting(confdir)) as (upstream, proxy):
            upstream.script(GOOD, ScriptedResponse.close_before_headers(), GOOD, GOOD)
            for _ in range(3):
                assert ask(proxy, http2=http2).json() == COMPLETION
            assert used(upstream) == [0, 0, 1, 1]
            told = [flow.server_conn for flow in proxy.flows if flow.server_conn.peername]
        assert len(told) == 3
        for server in told:
            assert server.tls_established
            assert server.tls_version == "TLSv1.3"
            assert server.cipher
            assert server.sni == "localhost"
            assert server.alpn == b"http/1.1"
            assert server.certificate_list[0].altnames == x509.GeneralNames(
                [x509.DNSName("localhost")]
            )
            assert server.address == ("localhost", upstream.simulator.port)
            assert server.timestamp_start
            assert server.timestamp_tcp_setup
            assert not server.timestamp_end
        first, second, third = told
        assert second.sockname == third.sockname != first.sockname
        assert second.timestamp_tls_setup == third.timestamp_tls_setup

    @pytest.mark.parametrize(
        ("name", "trusted", "says"),
        [
            ("localhost", None, "Certificate verify failed: unable to get"),
            ("elsewhere", "mitmproxy-ca-cert.pem", "Hostname mismatch"),
            ("localhost", "missing.pem", "No such file"),
        ],
        ids=["unknown CA", "another name", "no CA"],
    )
    def test_verification(self, confdir: Path, name: str, trusted: str | None, says: str) -> None:
        options = trusting(confdir, trusted) if trusted else {}
        with serving(confdir, options, name) as (upstream, proxy):
            answer = ask(proxy)
        assert answer.status_code == 502
        assert says in answer.json()["error"]["message"]
        assert not upstream.simulator.requests

    def test_insecure(self, confdir: Path) -> None:
        with serving(confdir, {"ssl_insecure": True}, "elsewhere") as (upstream, proxy):
            upstream.script(GOOD)
            assert ask(proxy).json() == COMPLETION

    @pytest.mark.parametrize(
        "option",
        [
            ("ssl_insecure", "false"),
            ("tls_version_server_min", "TLS1_3"),
            ("ciphers_server", "nonsense"),
            ("ciphers_server", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ],
        ids=lambda option: "=".join(option),
    )
    def test_other_options_want_another_connection(
        self, confdir: Path, option: tuple[str, str]
    ) -> None:
        """The one that waits would not do: the server has an RSA key, and no more than TLS 1.2."""
        highest = ssl.TLSVersion.TLSv1_2
        with serving(confdir, {"ssl_insecure": True}, highest=highest) as (upstream, proxy):
            upstream.script(GOOD, GOOD)
            assert ask(proxy).json() == COMPLETION
            proxy.command("set", *option)
            assert ask(proxy).status_code == 502
            assert used(upstream) == [0]

    def test_models_are_asked_for_with_the_same_trust(self, confdir: Path) -> None:
        with (
            serving(confdir, trusting(confdir)) as (_, proxy),
            proxy.client() as client,
        ):
            ids = [each["id"] for each in client.get("/v1/models").json()["data"]]
        assert "openrouter:demo/echo" in ids

    def test_a_script_that_has_a_say(self, confdir: Path) -> None:
        """Whoever pins certificates must not find the pool in the way."""

        class Pinning:
            def __init__(self) -> None:
                self.asked: list[str | None] = []

            def tls_start_server(self, data: TlsData) -> None:
                self.asked.append(data.conn.sni)

        with serving(confdir, {"ssl_insecure": True}) as (upstream, proxy):
            upstream.script(GOOD, GOOD)
            script = Pinning()
            proxy.add(script)
            assert ask(proxy).status_code == 200
            assert ask(proxy).status_code == 200
        assert script.asked == ["localhost"] * 2

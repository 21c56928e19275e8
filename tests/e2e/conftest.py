"""One proxy a test module, in front of the simulated upstreams."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from mitmproxy.certs import CertStore

from tests.harness import RunningProxy, running_proxy
from tests.upstream import UpstreamThread


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        connect_timeout=1,
        timeout=1,
        keep_alive=0.2,
        max_body_mib=8,
        allowed_origins=["https://app.example"],
    ) as running:
        yield running


@pytest.fixture
def original(confdir: Path) -> Iterator[UpstreamThread]:
    """The host that the client believes to talk to: a TLS server for `localhost`."""
    entry = CertStore.from_store(confdir, "mitmproxy", 2048).get_cert(
        "localhost", [x509.DNSName("localhost")]
    )
    key = entry.privatekey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    pem = confdir / "localhost.pem"
    pem.write_bytes(key + entry.cert.to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with UpstreamThread(host="localhost", ssl_context=context) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["base-url", "https-proxy"])
def tunnel(request: pytest.FixtureRequest) -> bool:
    """Both ways in."""
    return bool(request.param)


@pytest.fixture(params=["pooled", "parent proxy"])
def either(
    request: pytest.FixtureRequest, confdir: Path, upstream: UpstreamThread
) -> Iterator[RunningProxy]:
    """Upstream connections of the pool, and mitmproxy's own through a parent proxy."""
    options: dict[str, object] = {}
    if request.param == "parent proxy":
        # The requests for plain HTTP that a parent proxy gets are those that the upstream gets.
        options["mode"] = [f"upstream:{upstream.simulator.url}"]
    url = upstream.simulator.openrouter_url
    with running_proxy(confdir, options=options, openrouter_api_base_url=url) as running:
        yield running

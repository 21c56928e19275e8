"""One proxy a test module, in front of the simulated upstreams."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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

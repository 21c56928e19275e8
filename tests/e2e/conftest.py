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

"""Fixtures shared by the tests that run the proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.upstream import UpstreamThread

# How long an example takes depends on what else the machine does, so it decides nothing.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's folder with the CA, made once: it takes a while."""
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="module")
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as running:
        yield running

"""mitmproxy's context for layers without a proxy."""

from collections.abc import Iterator

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons


@pytest.fixture(autouse=True)
def master() -> Iterator[None]:
    """mitmproxy's context, which other tests may have set to a master of theirs."""
    with taddons.context(Proxyserver()):
        yield

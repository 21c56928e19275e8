"""A simulator of its own for each test, and a plain client that is made quickly."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.upstream import TIMEOUT_S, UpstreamThread

type MakeClient = Callable[..., httpx.Client]


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as running:
        yield running


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    with ExitStack() as clients:

        def make(**options: Any) -> httpx.Client:
            # Reading the CAs would take longer than any of these tests.
            client = httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=False, **options)
            return clients.enter_context(client)

        yield make

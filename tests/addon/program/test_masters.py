"""The master that loads only the addons in use."""

import asyncio
from pathlib import Path

import pytest
from mitmproxy.connection import Client
from mitmproxy.options import Options
from mitmproxy.proxy.server_hooks import ClientConnectedHook

from addon.program.masters import MinimalMaster


@pytest.mark.parametrize(
    ("address", "is_served"), [("8.8.8.8", False), ("192.168.1.2", True), ("127.0.0.1", True)]
)
def test_strangers_of_the_internet_are_not_served(
    confdir: Path, address: str, is_served: bool
) -> None:
    client = Client(peername=(address, 5000), sockname=("192.168.1.1", 8000), timestamp_start=0)

    async def connect() -> None:
        master = MinimalMaster(Options(confdir=str(confdir)), NoAddon(), [])
        await master.addons.trigger_event(ClientConnectedHook(client))

    asyncio.run(connect())
    assert (client.error is None) == is_served


class NoAddon:
    name = "none"

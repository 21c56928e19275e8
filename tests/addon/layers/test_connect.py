"""What the system is told to notice, and when waiting connections are given up."""

import asyncio
import socket

import pytest

from addon.layers.connect import notice_death
from addon.layers.pool import IDLE_S, MAX_SLEEP_S, Moment, is_usable

HEARD = Moment(monotonic=1000.0, wall=1_700_000_000.0)


@pytest.mark.parametrize(
    ("by_monotonic", "by_wall", "is_expected"),
    [
        (0, 0, True),
        (IDLE_S - 1, IDLE_S - 1, True),
        (IDLE_S, IDLE_S, False),
        (1, 1 + MAX_SLEEP_S / 2, True),
        (1, 1 + MAX_SLEEP_S, False),
        (1, 8 * 3600, False),
        (1, -3600, True),  # the clock has been set back
    ],
)
def test_which_connections_are_usable(
    by_monotonic: float, by_wall: float, is_expected: bool
) -> None:
    now = Moment(HEARD.monotonic + by_monotonic, HEARD.wall + by_wall)
    assert is_usable(HEARD, now) is is_expected


@pytest.mark.parametrize(("within_s", "interval_s"), [(10, 2), (60, 12), (0.2, 1)])
def test_what_the_system_is_told(within_s: float, interval_s: int) -> None:
    """In all, the times are as long as is asked for; a probe may be lost without harm."""

    async def options() -> tuple[int, dict[str, int]]:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            notice_death(writer, within_s)
            connection: socket.socket = writer.get_extra_info("socket")
            found = {
                name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in expected
                if hasattr(socket, name)
            }
            is_on = connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            writer.close()
            return is_on, found

    expected = {
        "TCP_KEEPIDLE": 2 * interval_s,
        "TCP_KEEPALIVE": 2 * interval_s,
        "TCP_KEEPINTVL": interval_s,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 5000 * interval_s,
    }
    is_on, found = asyncio.run(options())
    assert is_on
    assert found
    assert found.items() <= expected.items()

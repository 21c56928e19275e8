"""What is measured: a table of sections and scenarios, each with the measures that fit it."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

from bench import measures, processes
from bench.client import Client, Reply
from bench.http2 import Http2Client
from bench.measures import Measure, Turn
from bench.messages import ANSWERS, prompt
from bench.sides import BARE, DIRECT, Server, Side, Way, check, running

TURN_LIMIT_S = 120.0
SETTLE_S = 0.02
"""What a server does behind its last answer is part of its work: records, closing, connecting."""


@dataclass(frozen=True)
class Traffic:
    """Each of `clients` asks `requests` times, one request after the other.

    `answer` is a key of ANSWERS. The clients begin evenly spread over the pause of a paced answer.
    """

    answer: str
    requests: int
    clients: int = 1
    prompt_bytes: int = 1000
    is_prefixed: bool = False
    is_reconnecting: bool = False
    way: Way = "base URL"

    async def __call__(self, server: Server, share: float) -> Turn:
        """Give the server its turn, with this share of the requests; WrongAnswer, TimeoutError."""
        if self.way not in server.ways:
            return Turn()
        requests = max(1, round(self.requests * share))
        async with asyncio.timeout(TURN_LIMIT_S):
            clients = [await server.client(self.way) for _ in range(self.clients)]
            cpu_s, started = processes.cpu_s(server.pid), time.perf_counter()
            asked = await asyncio.gather(
                *(
                    self._ask(client, server, requests, nth / self.clients)
                    for nth, client in enumerate(clients)
                )
            )
            wall_s = time.perf_counter() - started
            await asyncio.sleep(SETTLE_S)
            cpu_s = processes.cpu_s(server.pid) - cpu_s
        pairs = [pair for each in asked for pair in each]
        for _, reply in pairs:
            check(server.side, self.answer, reply)
        return Turn(
            requests=len(pairs),
            wall_s=wall_s,
            cpu_s=cpu_s,
            rss_kib=processes.rss_kib(server.pid),
            chunks=len(pairs) * len(ANSWERS[self.answer].texts),
            first_s=statistics.median(reply.first_at - started for started, reply in pairs),
            last_s=statistics.median(reply.last_at - started for started, reply in pairs),
            delays_s=sorted(chain.from_iterable(_late(reply.delays_s) for _, reply in pairs)),
        )

    async def _ask(
        self, client: Client, server: Server, requests: int, phase: float
    ) -> list[tuple[float, Reply]]:
        """When each request, or its connection, was begun, and its reply."""
        prefix = f"{server.side.vendor}:" if self.is_prefixed else ""
        request = prompt(self.answer, self.prompt_bytes, prefix)
        await asyncio.sleep(ANSWERS[self.answer].pause_s * phase)
        pairs = []
        for _ in range(requests):
            started = time.perf_counter()
            if self.is_reconnecting:
                client.close()
                client = await Client.connect(server.ways[self.way])
            pairs.append((started, await client.ask(request)))
        server.keep(self.way, client)
        return pairs


def _late(delays_s: Sequence[float]) -> Sequence[float]:
    """Of a stream's chunks the second half: during the first, other streams may still begin."""
    return delays_s[len(delays_s) // 2 :]


@dataclass(frozen=True)
class Parallel:
    """Streams that are asked for at once over one new HTTP/2 connection, and that some times."""

    streams: int
    times: int

    async def __call__(self, server: Server, share: float) -> Turn:
        """Give the server its turn: when the first and the last of the streams begin."""
        if "HTTPS proxy" not in server.ways:
            return Turn()
        begun = []
        async with asyncio.timeout(TURN_LIMIT_S):
            for _ in range(max(1, round(self.times * share))):
                client = await Http2Client.connect(server.ways["HTTPS proxy"])
                started, replies = await client.ask([prompt("short")] * self.streams)
                client.close()
                for reply in replies:
                    check(server.side, "short", reply)
                begun.append(sorted(reply.first_at - started for reply in replies))
        return Turn(
            requests=self.streams * len(begun),
            first_s=statistics.median(each[0] for each in begun),
            last_s=statistics.median(each[-1] for each in begun),
        )


async def start_up(server: Server, share: float) -> Turn:
    """Start another process of the server's side, and stop it when it has served a request."""
    async with running(server.side, server.place) as fresh:
        cpu_s, rss_kib = processes.cpu_s(fresh.pid), processes.rss_kib(fresh.pid)
        return Turn(1, fresh.start_s, cpu_s, rss_kib)


class Scenario(NamedTuple):
    """`turn` gives a side its turn, at a share of the usual number of requests."""

    title: str
    turn: Callable[[Server, float], Awaitable[Turn]]
    measures: Sequence[Measure]


Road = Literal["plain", "TLS", "far"]


class Section(NamedTuple):
    """Scenarios for the same processes; `road` is what leads to their upstream."""

    road: Road
    baseline: Side
    scenarios: Sequence[Scenario]


_WHOLE = (measures.CPU, measures.LAST)
_FIRST = (measures.CPU, measures.FIRST)
_PACED = (measures.CHUNK_CPU, *measures.DELAYS)
_MANY = (*_PACED, measures.CHUNK_RATE)

SECTIONS = {
    "whole": Section(
        "plain",
        BARE,
        (
            Scenario("1 KB keep-alive", Traffic("whole", 300), _WHOLE),
            Scenario("100 KB prompt", Traffic("whole", 150, prompt_bytes=100_000), _WHOLE),
            Scenario(
                "100 KB prompt, backend named in the model",
                Traffic("whole", 150, prompt_bytes=100_000, is_prefixed=True),
                _WHOLE,
            ),
            Scenario("1 MB prompt", Traffic("whole", 30, prompt_bytes=1_000_000), _WHOLE),
        ),
    ),
    "streams": Section(
        "plain",
        BARE,
        (
            Scenario("short stream", Traffic("short", 200), _FIRST),
            Scenario(
                "stream, 2000 chunks at once",
                Traffic("burst", 5),
                (measures.CHUNK_CPU, measures.CHUNK_RATE),
            ),
            Scenario("stream, a chunk each 2 ms", Traffic("brisk", 1), _PACED),
            Scenario("50 streams, 50 chunks/s each", Traffic("paced", 1, clients=50), _MANY),
            Scenario("200 streams, 50 chunks/s each", Traffic("paced", 1, clients=200), _MANY),
        ),
    ),
    "connect": Section(
        "TLS",
        BARE,
        (
            Scenario(
                "new connection, base URL",
                Traffic("whole", 50, is_reconnecting=True),
                _WHOLE,
            ),
            Scenario(
                "new connection, HTTPS proxy",
                Traffic("whole", 50, is_reconnecting=True, way="HTTPS proxy"),
                _WHOLE,
            ),
        ),
    ),
    "far": Section(
        "far",
        DIRECT,
        (
            Scenario(
                "new connection, base URL",
                Traffic("short", 4, is_reconnecting=True),
                (measures.FIRST,),
            ),
            Scenario(
                "new connection, HTTPS proxy",
                Traffic("short", 4, is_reconnecting=True, way="HTTPS proxy"),
                (measures.FIRST,),
            ),
            Scenario(
                "40 streams over one HTTP/2 connection",
                Parallel(40, times=3),
                measures.BEGINNINGS,
            ),
        ),
    ),
    "process": Section(
        "plain",
        BARE,
        (
            Scenario("start-up", start_up, (measures.START, measures.START_CPU)),
            Scenario("memory, 1 KB keep-alive", Traffic("whole", 3400), (measures.SLOPE,)),
        ),
    ),
}

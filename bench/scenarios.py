"""What is measured: a table of scenarios, each with the measures that make sense for it."""

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from bench import processes
from bench.client import Client
from bench.messages import ANSWERS, request
from bench.sides import Server, running

TURN_LIMIT_S = 120.0


@dataclass(frozen=True)
class Turn:
    """What one side did in one turn; what it has not is NaN.

    `first_s`, `last_s`: medians over the requests, from the beginning (of connecting, if the
    connection is new) to the first and last byte of the answer's body. `cpu_s` is the server's
    CPU time in this turn, `rss_kib` its memory at the end.
    """

    requests: int
    wall_s: float
    cpu_s: float
    rss_kib: float
    chunks: int = 0
    first_s: float = math.nan
    last_s: float = math.nan


@dataclass(frozen=True)
class Traffic:
    """Each of `clients` asks `requests` times, one request after the other.

    `answer` is a key of ANSWERS. The clients begin evenly spread over the pause of a paced answer.
    """

    answer: str
    requests: int
    clients: int = 1
    prompt_bytes: int = 1000
    model_prefix: str = ""
    is_reconnecting: bool = False

    async def __call__(self, server: Server, share: float) -> Turn:
        """Give the server its turn, with this share of the requests; WrongAnswer, TimeoutError."""
        requests = max(1, round(self.requests * share))
        async with asyncio.timeout(TURN_LIMIT_S):
            clients = [await _warm_client(server.port) for _ in range(self.clients)]
            cpu_s, started = processes.cpu_s(server.pid), time.perf_counter()
            times = await asyncio.gather(
                *(
                    self._ask(client, server.port, requests, nth / self.clients)
                    for nth, client in enumerate(clients)
                )
            )
            wall_s = time.perf_counter() - started
            cpu_s = processes.cpu_s(server.pid) - cpu_s
        first, last = zip(*(pair for pairs in times for pair in pairs), strict=True)
        return Turn(
            requests=len(first),
            wall_s=wall_s,
            cpu_s=cpu_s,
            rss_kib=processes.rss_kib(server.pid),
            chunks=len(first) * len(ANSWERS[self.answer].pieces),
            first_s=statistics.median(first),
            last_s=statistics.median(last),
        )

    async def _ask(
        self, client: Client, port: int, requests: int, phase: float
    ) -> list[tuple[float, float]]:
        """Seconds to the first and last byte of each answer."""
        answer = ANSWERS[self.answer]
        message = request(port, self.answer, self.prompt_bytes, self.model_prefix)
        await asyncio.sleep(answer.pause_s * phase)
        times = []
        for _ in range(requests):
            started = time.perf_counter()
            if self.is_reconnecting:
                client.close()
                client = await Client.connect(port)
            reply = await client.ask(message, answer.body)
            times.append((reply.first_at - started, reply.last_at - started))
        client.close()
        return times


async def _warm_client(port: int) -> Client:
    """A connection on which an answer has come already, so that the upstream is connected too."""
    client = await Client.connect(port)
    await client.ask(request(port, "whole", prompt_bytes=1000), ANSWERS["whole"].body)
    return client


async def start_up(server: Server, share: float) -> Turn:
    """Start another process of the server's side, and stop it when it has served a request."""
    async with running(server.side, server.place) as fresh:
        return Turn(1, fresh.start_s, processes.cpu_s(fresh.pid), processes.rss_kib(fresh.pid))


class Measure(NamedTuple):
    """`figures` makes figures in `unit` from the turns of a side: one for each, or one for all.

    `is_ratio`: sides are compared by division, turn by turn.
    """

    title: str
    unit: str
    figures: Callable[[Sequence[Turn]], Sequence[float]]
    is_ratio: bool = True


def _each(figure: Callable[[Turn], float]) -> Callable[[Sequence[Turn]], Sequence[float]]:
    return lambda turns: [figure(turn) for turn in turns]


def _rss_slope(turns: Sequence[Turn]) -> Sequence[float]:
    """KiB for each 1000 requests, fitted over all turns; NaN for fewer than two."""
    if len(turns) < 2:
        return [math.nan]
    requests = list(accumulate(turn.requests for turn in turns))
    slope, _ = statistics.linear_regression(requests, [turn.rss_kib for turn in turns])
    return [slope * 1000]


CPU = Measure("CPU", "ms/request", _each(lambda turn: turn.cpu_s / turn.requests * 1e3))
CHUNK_CPU = Measure("CPU", "µs/chunk", _each(lambda turn: turn.cpu_s / turn.chunks * 1e6))
CHUNK_RATE = Measure("speed", "chunks/s", _each(lambda turn: turn.chunks / turn.wall_s))
FIRST = Measure("first chunk, p50", "ms", _each(lambda turn: turn.first_s * 1e3))
LAST = Measure("time, p50", "ms", _each(lambda turn: turn.last_s * 1e3))
START = Measure("time", "s", _each(lambda turn: turn.wall_s))
START_CPU = Measure("CPU", "s", _each(lambda turn: turn.cpu_s))
SLOPE = Measure("growth", "KiB/1000 requests", _rss_slope, is_ratio=False)


class Scenario(NamedTuple):
    """`turn` gives a side its turn, at a share of the usual number of requests."""

    title: str
    turn: Callable[[Server, float], Awaitable[Turn]]
    measures: tuple[Measure, ...]


SCENARIOS = (
    Scenario("1 KB prompt", Traffic("whole", 300), (CPU, LAST)),
    Scenario(
        "1 KB prompt, new connection",
        Traffic("whole", 150, is_reconnecting=True),
        (CPU, LAST),
    ),
    Scenario("100 KB prompt", Traffic("whole", 250, prompt_bytes=100_000), (CPU, LAST)),
    Scenario(
        "100 KB prompt, model with `openrouter:`",
        Traffic("whole", 250, prompt_bytes=100_000, model_prefix="openrouter:"),
        (CPU, LAST),
    ),
    Scenario("short stream", Traffic("short", 250), (FIRST, CPU)),
    Scenario("stream, 2000 chunks at once", Traffic("burst", 6), (CHUNK_CPU, CHUNK_RATE)),
    Scenario("stream, a chunk each 2 ms", Traffic("brisk", 2), (CHUNK_CPU,)),
    Scenario(
        "50 streams, 50 chunks/s each", Traffic("paced", 1, clients=50), (CHUNK_CPU, CHUNK_RATE)
    ),
    Scenario("start-up", start_up, (START, START_CPU)),
    Scenario("memory, 1 KB prompt", Traffic("whole", 500), (SLOPE,)),
)

"""The benchmark's command: every side, every scenario, in turns; prints Markdown."""

import argparse
import asyncio
import contextlib
import os
import platform
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench import processes, report
from bench.client import WrongAnswer
from bench.scenarios import SCENARIOS, Scenario, Turn
from bench.sides import BARE, DIRECT, SIDES, Place, Server, Side, running


def main() -> int:
    """Measure and print; the exit code is 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help="turns of each side (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the requests, by default in 1 round"
    )
    arguments = parser.parse_args()
    rounds = max(1, arguments.rounds or (1 if arguments.quick else 5))
    share = 0.25 if arguments.quick else 1.0
    if not processes.HAS_PROC:
        print("CPU and memory figures need Linux; the others follow.\n")
    try:
        results = asyncio.run(_measure(rounds, share))
    except WrongAnswer as error:
        print(f"Wrong answer: {error}", file=sys.stderr)
        return 1
    print(
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, mitmproxy {version('mitmproxy')}; "
        f"{rounds} rounds: median (lowest to highest)\n"
    )
    print(f"Ratios to bare mitmdump:\n\n{report.table(results, BARE)}\n")
    print(f"Ratios to a direct connection:\n\n{report.table(results, DIRECT)}")
    return 0


async def _measure(rounds: int, share: float) -> report.Results:
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(
            processes.process(
                [sys.executable, "-m", "bench.upstream"],
                directory,
                {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
                stdout=PIPE,
            )
        )
        assert upstream.stdout
        place = Place(int(await upstream.stdout.readline()), directory)
        servers = [await stack.enter_async_context(running(side, place)) for side in SIDES]
        return [await _turns(scenario, servers, rounds, share) for scenario in SCENARIOS]


async def _turns(
    scenario: Scenario, servers: Sequence[Server], rounds: int, share: float
) -> dict[Side, list[Turn]]:
    """The sides take turns, each round in another order; a round to warm up does not count."""
    print(f"{scenario.title} ...", file=sys.stderr)
    turns: dict[Side, list[Turn]] = {server.side: [] for server in servers}
    for nth in range(rounds + 1):
        first = nth % len(servers)
        for server in (*servers[first:], *servers[:first]):
            try:
                turn = await scenario.turn(server, share)
            except (WrongAnswer, TimeoutError) as error:
                problem = str(error) or "no answer in time"
                raise WrongAnswer(f"{scenario.title}, {server.side.name}: {problem}") from None
            if nth:
                turns[server.side].append(turn)
    return turns


if __name__ == "__main__":
    sys.exit(main())

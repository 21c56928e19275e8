"""The benchmark's command: every side, every scenario, in turns; prints Markdown."""

import argparse
import asyncio
import contextlib
import os
import platform
import shlex
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from bench import processes
from bench.measures import Turn
from bench.report import Result, table
from bench.roads import WrongAnswer
from bench.scenarios import SECTIONS, Road, Scenario, Section
from bench.sides import BARE, DIRECT, SIDES, Place, Server, Side, peer, running

Results = Mapping[Side, list[Result]]
"""By baseline."""

_QUICK_SECTIONS = ("whole", "streams", "connect", "far")
_TITLES = {BARE: "Ratios to bare mitmdump", DIRECT: "Upstream 50 ms away: ratios to direct"}


def main() -> int:
    """Measure and print; the exit code is 1 if an answer was wrong."""
    arguments = _parser().parse_args()
    rounds = max(1, arguments.rounds or (1 if arguments.quick else 5))
    sides = (*SIDES, *map(peer, arguments.peer))
    if not processes.HAS_PROC:
        print("CPU and memory figures need Linux; the others follow.\n")
    names = arguments.only or (_QUICK_SECTIONS if arguments.quick else SECTIONS)
    sections = [SECTIONS[name] for name in names]
    results: Results = {baseline: [] for baseline in _TITLES}
    problem = None
    try:
        measuring = _measure(sections, sides, rounds, 0.1 if arguments.quick else 1.0, results)
        asyncio.run(measuring)
    except WrongAnswer as error:
        problem = f"Wrong answer: {error}"
    print(
        f"`python -m bench {shlex.join(sys.argv[1:])}`: {os.cpu_count()} processors, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"mitmproxy {version('mitmproxy')}; {rounds} rounds: median (lowest to highest)"
    )
    for baseline, title in _TITLES.items():
        if found := results[baseline]:
            print(f"\n{title}:\n\n{table(found, sides, baseline)}")
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help="turns of each side (default: 5)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a tenth of the requests, by default in 1 round of {', '.join(_QUICK_SECTIONS)}",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SECTIONS,
        metavar="SECTION",
        help=f"of {', '.join(SECTIONS)}",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="COMMAND",
        help="another server as a side; {port} is where it has to listen, {upstream} the URL of "
        "its upstream without the path",
    )
    return parser


async def _measure(
    sections: Iterable[Section],
    sides: Sequence[Side],
    rounds: int,
    share: float,
    results: Results,
) -> None:
    """Add the results of the sections; WrongAnswer ends it."""
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        enter = stack.enter_async_context
        plain, tls = await enter(_ports("bench.upstream", "confdir", directory=directory))
        (far,) = await enter(_ports("bench.relay", str(tls), directory=directory))
        places: dict[Road, Place] = {
            "plain": Place(directory, plain, has_tls=False),
            "TLS": Place(directory, tls, has_tls=True),
            "far": Place(directory, far, has_tls=True),
        }
        for road, baseline, scenarios in sections:
            async with contextlib.AsyncExitStack() as inner:
                servers = [
                    await inner.enter_async_context(running(side, places[road])) for side in sides
                ]
                for scenario in scenarios:
                    turns = await _turns(scenario, servers, rounds, share)
                    results[baseline].append(Result(scenario, turns))


@contextlib.asynccontextmanager
async def _ports(module: str, *arguments: str, directory: Path) -> AsyncIterator[list[int]]:
    """A process of the benchmark's own, by the ports that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    environ = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    async with processes.process(command, directory, environ, stdout=PIPE) as process:
        assert process.stdout
        yield [int(port) for port in (await process.stdout.readline()).split()]


async def _turns(
    scenario: Scenario, servers: Sequence[Server], rounds: int, share: float
) -> Mapping[Side, Sequence[Turn]]:
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

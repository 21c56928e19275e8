"""The sides of the comparison: a table of what is started, each in a process of its own."""

import asyncio
import contextlib
import math
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.client import Client, WrongAnswer
from bench.messages import ANSWERS, CLIENT_KEY, request

START_LIMIT_S = 60.0

_POLL_S = 0.002
_BENCH = Path(__file__).resolve().parent
_QUIET = ("-q", "--set", "confdir=confdir")


@dataclass(frozen=True)
class Side:
    """`command` may hold `{port}` (to listen on), `{upstream}` (its port), `{bench}`, `{root}`.

    Without a command clients speak to the upstream itself.
    """

    name: str
    command: tuple[str, ...] = ()


BARE = Side(
    "bare mitmdump",
    (
        *("mitmdump", "--mode", "reverse:http://127.0.0.1:{upstream}"),
        *("--listen-host", "127.0.0.1", "--listen-port", "{port}"),
        *("-s", "{bench}/streaming.py", *_QUIET),
    ),
)
DIRECT = Side("direct")
SIDES = (
    Side("`llm-proxy`", ("llm-proxy", "--port", "{port}", "--", *_QUIET)),
    Side(
        "`mitmdump -s`",
        ("mitmdump", "-s", "{root}/addon/llm_proxy.py", "--listen-port", "{port}", *_QUIET),
    ),
    BARE,
    DIRECT,
)


@dataclass(frozen=True)
class Place:
    """Where sides run: the port of their upstream, and their working directory."""

    upstream: int
    directory: Path


@dataclass(frozen=True)
class Server:
    """A side that has served a request on `port`; `pid` is None if it has no process.

    `start_s` is the time from its start to that answer, in seconds; NaN without a process.
    """

    side: Side
    place: Place
    port: int
    pid: int | None = None
    start_s: float = math.nan


@contextlib.asynccontextmanager
async def running(side: Side, place: Place) -> AsyncIterator[Server]:
    """Start a side, and wait until it has served a request; it is stopped at the end.

    WrongAnswer if it ends before, or does not get ready.
    """
    if not side.command:
        yield Server(side, place, place.upstream)
        return
    port = processes.free_port()
    values = {"port": port, "upstream": place.upstream, "bench": _BENCH, "root": _BENCH.parent}
    command = [word.format(**values) for word in side.command]
    environ = {
        "OPENROUTER_API_KEY": "bench-upstream-key",
        "OPENROUTER_API_BASE_URL": f"http://127.0.0.1:{place.upstream}/api/v1",
        "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY,
        "DISABLE_INTERACTIVE_MODE": "true",  # no banner: the first answer has to be right already
    }
    started = time.perf_counter()
    async with processes.process(command, place.directory, environ) as process:
        await _first_answer(side, port, process)
        yield Server(side, place, port, process.pid, time.perf_counter() - started)


async def _first_answer(side: Side, port: int, process: Process) -> None:
    """Return as soon as the server gives the right answer; WrongAnswer if it never does."""
    problem: Exception | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_LIMIT_S):
            while process.returncode is None:
                try:
                    await _ask_once(port)
                    return
                except (OSError, WrongAnswer) as error:  # not ready yet
                    problem = error
                await asyncio.sleep(_POLL_S)
    raise WrongAnswer(f"{side.name} is not ready (exit code {process.returncode}): {problem}")


async def _ask_once(port: int) -> None:
    client = await Client.connect(port)
    try:
        await client.ask(request(port, "whole", prompt_bytes=1000), ANSWERS["whole"].body)
    finally:
        client.close()

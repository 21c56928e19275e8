"""Processes: started for as long as they are needed, and what the system knows of them."""

import asyncio
import contextlib
import math
import os
import re
import socket
import sys
import sysconfig
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO

HAS_PROC = Path("/proc/self/smaps_rollup").exists()

_INHERITED = ("HOME", "TMPDIR", "LANG", "SYSTEMROOT")
_RSS = re.compile(r"^Rss: +(\d+) kB", re.MULTILINE)


@contextlib.asynccontextmanager
async def process(
    command: Sequence[str],
    directory: Path,
    environ: dict[str, str],
    stdout: int | IO[str] = sys.stderr,
) -> AsyncIterator[Process]:
    """A running program: of the machine's environment it sees nobody's keys, proxies or settings.

    It is looked for among the scripts of this Python first.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    started = await asyncio.create_subprocess_exec(
        *command, cwd=directory, env={**inherited, "PATH": path, **environ}, stdout=stdout
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            started.terminate()
        await started.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_s(pid: int | None) -> float:
    """User and system time of a process and its descendants so far, in seconds; NaN if unknown."""
    if pid is None or not HAS_PROC:
        return math.nan
    # A process's CPU clock (clock_getcpuclockid(3)) tells the sum of utime and stime that stands
    # in /proc/<pid>/stat, but in nanoseconds and not in ticks of 10 ms.
    return sum(time.clock_gettime(~each << 3 | 2) for each in _tree(pid))


def rss_kib(pid: int | None) -> float:
    """Resident memory of a process and its descendants, in KiB; NaN if unknown."""
    if pid is None or not HAS_PROC:
        return math.nan
    # Exact, unlike statm and VmRSS, which lag behind by some pages for each processor.
    rollups = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in _tree(pid))
    return sum(float(rss) for rollup in rollups for rss in _RSS.findall(rollup))


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))

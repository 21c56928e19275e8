"""The sides of the comparison: a table of what is started, each in a process of its own."""

import asyncio
import contextlib
import math
import shlex
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import processes
from bench.client import Client, Reply
from bench.messages import ANSWERS, BODIES, CLIENT_KEY, STAMP, UNSTAMPED, prompt, said
from bench.roads import Address, WrongAnswer

START_LIMIT_S = 60.0

_POLL_S = 0.002
_BENCH = Path(__file__).resolve().parent
_AUTHORITY = Path("confdir/mitmproxy-ca-cert.pem")
_QUIET = (
    *("-q", "--set", "confdir=confdir"),
    *("--set", f"ssl_verify_upstream_trusted_ca={_AUTHORITY}"),
)

_KEYS = {
    "openrouter": {"OPENROUTER_API_KEY": "upstream-key-of-the-bench"},
    "gemini": {"GEMINI_API_KEY": "upstream-key-of-the-bench"},
}

Way = Literal["base URL", "HTTPS proxy"]


@dataclass(frozen=True)
class Side:
    """Without a command clients speak to the upstream itself; for what it may hold see `running`.

    As an HTTPS proxy it listens on `proxy_port`, and clients want to get to `tunnel_to`, which is
    None if it is no such proxy. `is_exact`: answers are the upstream's to the byte, else only their
    text is.
    """

    name: str
    command: tuple[str, ...] = ()
    tunnel_to: str | None = None
    proxy_port: str = "{port}"
    vendor: str = "openrouter"
    is_exact: bool = True


BARE = Side(
    "bare mitmdump",
    (
        *("mitmdump", "--mode", "reverse:{upstream}@{port}", "--mode", "regular@{second_port}"),
        *("--listen-host", "127.0.0.1", "-s", "{bench}/streaming.py", *_QUIET),
    ),
    tunnel_to="{upstream_authority}",
    proxy_port="{second_port}",
)
DIRECT = Side("direct")
_LEAN = ("llm-proxy", "--port", "{port}", "--", *_QUIET)
_LLM_HOST = "api.openai.com:443"
SIDES = (
    BARE,
    Side("`llm-proxy`, OpenRouter", _LEAN, _LLM_HOST),
    Side("`llm-proxy`, Gemini", _LEAN, _LLM_HOST, vendor="gemini", is_exact=False),
    Side(
        "`mitmdump -s`, OpenRouter",
        ("mitmdump", "-s", "{root}/addon/llm_proxy.py", "--listen-port", "{port}", *_QUIET),
        _LLM_HOST,
    ),
    DIRECT,
)


def peer(command: str) -> Side:
    """Any other server that answers chat completions under `/v1` on its port."""
    words = tuple(shlex.split(command))
    return Side(f"`{Path(words[0]).name}`", words, is_exact=False)


@dataclass(frozen=True)
class Place:
    """Where sides run: their working directory, and their upstream."""

    directory: Path
    upstream: int
    has_tls: bool

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.upstream}"

    @property
    def url(self) -> str:
        return f"{'https' if self.has_tls else 'http'}://{self.authority}"

    @property
    def trusted(self) -> Path:
        """Who has signed the certificates of the upstream and of HTTPS proxies."""
        return self.directory / _AUTHORITY


@dataclass(frozen=True)
class Server:
    """A side that has served a request; `pid` is None if it has no process.

    `start_s` is the time from its start to that answer, in seconds; NaN without a process.
    """

    side: Side
    place: Place
    ways: Mapping[Way, Address]
    pid: int | None = None
    start_s: float = math.nan
    _idle: dict[Way, list[Client]] = field(default_factory=dict)

    async def client(self, way: Way) -> Client:
        """A connection on which an answer has come already, so that its upstream is there too."""
        idle = self._idle.get(way, [])
        while idle:
            if (client := idle.pop()).is_open:
                return client
        client = await Client.connect(self.ways[way])
        check(self.side, "whole", await client.ask(prompt("whole")))
        return client

    def keep(self, way: Way, client: Client) -> None:
        """For a later turn."""
        self._idle.setdefault(way, []).append(client)


def check(side: Side, name: str, reply: Reply) -> None:
    """WrongAnswer unless a reply is the answer of this name."""
    body = STAMP.sub(UNSTAMPED, reply.body)
    with contextlib.suppress(ValueError, LookupError, AttributeError, TypeError):
        expected = BODIES[side.vendor, name].whole if side.is_exact else ANSWERS[name].text
        if reply.is_ok and (body if side.is_exact else said(body)) == expected:
            return
    shown = body[:500].decode("utf-8", "backslashreplace")
    raise WrongAnswer(f"{side.name}: not the upstream's answer ({len(body)} bytes):\n{shown}")


@contextlib.asynccontextmanager
async def running(side: Side, place: Place) -> AsyncIterator[Server]:
    """Start a side, and wait until it has served a request; it is stopped at the end.

    WrongAnswer if it ends before, or does not get ready.
    """
    if not side.command:
        there = Address(place.upstream, place.authority, place.trusted if place.has_tls else None)
        yield Server(side, place, {"base URL": there, "HTTPS proxy": there})
        return
    port, second_port = processes.free_port(), processes.free_port()
    values = {
        "port": port,
        "second_port": second_port,
        "upstream": place.url,
        "upstream_authority": place.authority,
        "bench": _BENCH,
        "root": _BENCH.parent,
    }
    command = [word.format(**values) for word in side.command]
    ways: dict[Way, Address] = {"base URL": Address(port, f"127.0.0.1:{port}")}
    if side.tunnel_to:
        proxy_port, target = int(side.proxy_port.format(**values)), side.tunnel_to.format(**values)
        ways["HTTPS proxy"] = Address(proxy_port, target, place.trusted, is_proxy=True)
    started = time.perf_counter()
    async with processes.process(command, place.directory, _environ(side, place)) as process:
        await _first_answer(side, ways["base URL"], process)
        yield Server(side, place, ways, process.pid, time.perf_counter() - started)


def _environ(side: Side, place: Place) -> dict[str, str]:
    return {
        **_KEYS[side.vendor],
        "OPENROUTER_API_BASE_URL": f"{place.url}/api/v1",
        "GEMINI_API_BASE_URL": f"{place.url}/v1beta",
        "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY,
        "DISABLE_INTERACTIVE_MODE": "true",  # no banner: the first answer has to be right already
        "SSL_CERT_FILE": str(place.trusted),
    }


async def _first_answer(side: Side, address: Address, process: Process) -> None:
    """Return as soon as the server gives the right answer; WrongAnswer if it never does."""
    problem: Exception | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_LIMIT_S):
            while process.returncode is None:
                try:
                    await _ask_once(side, address)
                    return
                except (OSError, WrongAnswer) as error:  # not ready yet
                    problem = error
                await asyncio.sleep(_POLL_S)
    raise WrongAnswer(f"{side.name} is not ready (exit code {process.returncode}): {problem}")


async def _ask_once(side: Side, address: Address) -> None:
    client = await Client.connect(address)
    try:
        check(side, "whole", await client.ask(prompt("whole")))
    finally:
        client.close()

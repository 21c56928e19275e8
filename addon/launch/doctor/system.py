"""What this machine has: the programs, the port, the CA, the agent."""

import operator
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import requires, version
from pathlib import Path

from addon import layers
from addon.launch import proxy_process
from addon.launch.agents import AGENTS
from addon.launch.ca_bundle import CERTIFICATE
from addon.launch.doctor.findings import Case, Finding, Mark
from addon.launch.proxy_process import Tenant
from backends.vendors.registry import address_of
from commands.config.levels import FILE_FLAG, unread_files

VERSION_S = 5.0
"""Agents that are slow to tell their version are not waited for."""

_COMPARED = {">=": operator.ge, "<": operator.lt}


def check_programs() -> Iterator[Finding]:
    """Versions, and mitmproxy's private API; needs no settings."""
    found = f"Python {platform.python_version()}, mitmproxy {version('mitmproxy')}"
    wanted = next(
        line for line in requires(proxy_process.PRODUCT) or () if line.startswith("mitmproxy")
    )
    if not _fits(version("mitmproxy"), wanted):
        cure = f"pip install '{wanted}'"
        yield Finding(Mark.PROBLEM, f"{found}: made for {wanted}", cure)
    elif incompatibility := layers.incompatibility():
        cure = f"without it there is no failover; pip install --force-reinstall '{wanted}'"
        yield Finding(Mark.WARNING, incompatibility, cure)
    else:
        yield Finding(Mark.OK, found)


def _fits(found: str, wanted: str) -> bool:
    limits = re.findall(r"(>=|<)([\d.]+)", wanted)
    return all(_COMPARED[sign](_numbers(found), _numbers(limit)) for sign, limit in limits)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


def check_files(files: Sequence[str], directory: Path) -> Iterator[Finding]:
    """Where the settings are from, and that those of the working directory are left out."""
    text = f"settings: read from {', '.join(files) or 'no file'}"
    if unread := unread_files(directory):
        text += f", not from {' and '.join(unread)} here: only a plain start and {FILE_FLAG} do"
    yield Finding(Mark.OK, text)


def check_address(case: Case) -> Iterator[Finding]:
    """Whether the proxy runs, or could."""
    tenant = proxy_process.tenant_of(case.url, case.settings.client_key)
    match tenant:
        case Tenant.STRANGER:
            text = f"{case.url} is taken by another program"
            yield Finding(Mark.PROBLEM, text, "choose another port with --port or PROXY_PORT")
        case Tenant.OURS | Tenant.PROVEN:
            yield from _running(case, tenant)
        case Tenant.NOBODY:
            yield _free(case)


def _running(case: Case, tenant: Tenant) -> Iterator[Finding]:
    proxy = proxy_process.running_proxy(case.url, tenant, case.settings)
    if proxy is None:
        text = f"the proxy runs at {case.url} with another client key than is known here"
        yield Finding(
            Mark.WARNING, text, f"set {proxy_process.CLIENT_KEY_NAME} to the key it printed"
        )
        return
    yield Finding(Mark.OK, f"the proxy runs at {case.url} and takes the client key")
    hosts = case.settings.intercept_hosts
    if hosts and CERTIFICATE.exists() and proxy_process.shows_another_ca(proxy, hosts[0]):
        text = f"the proxy at {case.url} does not use the CA in {CERTIFICATE.parent}"
        yield Finding(
            Mark.WARNING, text, "start it without another confdir, or trust that one's CA"
        )


def _free(case: Case) -> Finding:
    host, port = address_of(case.url)
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as error:
        text = f"{case.url} cannot be listened on: {error.strerror}"
        return Finding(Mark.PROBLEM, text, "choose another one with --host and --port")
    return Finding(Mark.OK, f"{case.url} is free; llm-proxy run starts a proxy there")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_client_key(case: Case) -> Iterator[Finding]:
    """Whether agents in other terminals can know it."""
    if case.settings.client_key or case.settings.disable_auth:
        yield Finding(Mark.OK, "client key: configured, or not asked for")
    else:
        cure = f"set {proxy_process.CLIENT_KEY_NAME} to choose one; llm-proxy run needs none"
        yield Finding(Mark.WARNING, "client key: a new one at each start", cure)


def check_ca(case: Case) -> Iterator[Finding]:
    """Whether there is a CA."""
    if CERTIFICATE.exists():
        yield Finding(Mark.OK, f"CA: {CERTIFICATE}")
    else:
        yield Finding(Mark.WARNING, f"CA: no {CERTIFICATE} yet", "the first start makes it")


def check_agent(case: Case) -> Iterator[Finding]:
    """The agent's program, or which agents there are."""
    agent = case.agent
    if agent is None:
        found = [each.name for each in AGENTS if shutil.which(each.executable)]
        yield Finding(Mark.OK, f"agents here: {', '.join(found) or 'none that is known'}")
        return
    path = shutil.which(agent.executable)
    if path is None:
        text = f"{agent.name}: there is no program {agent.executable} on the PATH"
        yield Finding(Mark.PROBLEM, text, "install it, or put its folder on the PATH")
        return
    yield Finding(Mark.OK, f"{agent.name}: {path}, {_version_of(path)}")
    prefix = case.settings.command_prefix
    if agent.keeps_bang and prefix.startswith("!"):
        text = f"{agent.name} takes a line that begins with ! for a shell command"
        yield Finding(Mark.WARNING, text, f"type '. {prefix}help', or choose a COMMAND_PREFIX")


def _version_of(path: str) -> str:
    """The first line that the program says about itself."""
    try:
        said = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=VERSION_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    return said.strip().partition("\n")[0] or "which does not tell its version"

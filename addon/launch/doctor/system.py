"""Checks this machine: programs, port, client key, CA, agent."""

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
from addon.launch.doctor.findings import Finding, Severity, Subject
from addon.launch.proxy_process import PortOwner
from addon.program.product import CLIENT_KEY_NAME, PRODUCT
from backends.vendors.registry import address_of
from commands.config.levels import FILE_FLAG, unread_files

VERSION_S = 5.0
"""Timeout for an agent's `--version`."""

_COMPARED = {">=": operator.ge, "<": operator.lt}


def check_programs() -> Iterator[Finding]:
    """Check versions and mitmproxy's private API; needs no settings."""
    found = f"Python {platform.python_version()}, mitmproxy {version('mitmproxy')}"
    requirement = next(line for line in requires(PRODUCT) or () if line.startswith("mitmproxy"))
    if not _fits(version("mitmproxy"), requirement):
        fix = f"pip install '{requirement}'"
        yield Finding(Severity.PROBLEM, f"{found}: llm-proxy requires {requirement}", fix)
    elif incompatibility := layers.incompatibility():
        fix = f"failover and timeouts are disabled; pip install --force-reinstall '{requirement}'"
        yield Finding(Severity.WARNING, incompatibility, fix)
    else:
        yield Finding(Severity.OK, found)


def _fits(found: str, requirement: str) -> bool:
    limits = re.findall(r"(>=|<)([\d.]+)", requirement)
    return all(_COMPARED[sign](_numbers(found), _numbers(limit)) for sign, limit in limits)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


def check_files(files: Sequence[str], directory: Path) -> Iterator[Finding]:
    """Name the files that were read, and those of the working directory that were not."""
    text = f"settings: read from {', '.join(files) or 'no file'}"
    if unread := unread_files(directory):
        text += f", not from {' and '.join(unread)} here (only llm-proxy itself and {FILE_FLAG} do)"
    yield Finding(Severity.OK, text)


def check_address(subject: Subject) -> Iterator[Finding]:
    """Check that the proxy runs or could."""
    owner = proxy_process.port_owner(subject.url, subject.settings.client_key)
    match owner:
        case PortOwner.STRANGER:
            text = f"another program uses {subject.url}"
            yield Finding(Severity.PROBLEM, text, "choose another port with --port or PROXY_PORT")
        case PortOwner.OURS | PortOwner.PROVEN:
            yield from _running(subject, owner)
        case PortOwner.NOBODY:
            yield _free(subject)


def _running(subject: Subject, owner: PortOwner) -> Iterator[Finding]:
    proxy = proxy_process.running_proxy(subject.url, owner, subject.settings)
    if proxy is None:
        text = f"the proxy at {subject.url} requires another client key"
        yield Finding(Severity.WARNING, text, f"set {CLIENT_KEY_NAME} to the key that it printed")
        return
    yield Finding(Severity.OK, f"the proxy runs at {subject.url} and accepts the client key")
    hosts = subject.settings.intercept_hosts
    if hosts and CERTIFICATE.exists() and proxy_process.shows_another_ca(proxy, hosts[0]):
        text = f"the proxy at {subject.url} does not use the CA in {CERTIFICATE.parent}"
        yield Finding(
            Severity.WARNING, text, "start it without a confdir of its own, or trust that CA"
        )


def _free(subject: Subject) -> Finding:
    host, port = address_of(subject.url)
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as error:
        text = f"cannot listen on {subject.url}: {error.strerror}"
        return Finding(Severity.PROBLEM, text, "choose another address with --host and --port")
    return Finding(Severity.OK, f"{subject.url} is free; llm-proxy run starts a proxy there")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_client_key(subject: Subject) -> Iterator[Finding]:
    """Check that agents in other terminals can know the client key."""
    if subject.settings.client_key or subject.settings.disable_auth:
        yield Finding(Severity.OK, "client key: configured, or not required")
    else:
        fix = f"set {CLIENT_KEY_NAME} to choose one, or use llm-proxy run"
        yield Finding(Severity.WARNING, "client key: a new one at each start", fix)


def check_ca(subject: Subject) -> Iterator[Finding]:
    """Check that there is a CA."""
    if CERTIFICATE.exists():
        yield Finding(Severity.OK, f"CA: {CERTIFICATE}")
    else:
        yield Finding(Severity.WARNING, f"CA: no {CERTIFICATE} yet", "the first start creates it")


def check_agent(subject: Subject) -> Iterator[Finding]:
    """Check the agent's program, or list the agents on this machine."""
    agent = subject.agent
    if agent is None:
        found = [each.name for each in AGENTS if shutil.which(each.executable)]
        yield Finding(Severity.OK, f"agents here: {', '.join(found) or 'no known ones'}")
        return
    path = shutil.which(agent.executable)
    if path is None:
        text = f"{agent.name}: program {agent.executable} not found on the PATH"
        yield Finding(Severity.PROBLEM, text, "install it, or add its folder to PATH")
        return
    yield Finding(Severity.OK, f"{agent.name}: {path}, {_version_of(path)}")
    prefix = subject.settings.command_prefix
    if agent.keeps_bang and prefix.startswith("!"):
        text = f"{agent.name} runs a line that begins with ! as a shell command"
        yield Finding(Severity.WARNING, text, f"type '. {prefix}help', or choose a COMMAND_PREFIX")


def _version_of(path: str) -> str:
    """The first line that `--version` prints."""
    try:
        output = subprocess.run(
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
        output = ""
    return output.strip().partition("\n")[0] or "version unknown"

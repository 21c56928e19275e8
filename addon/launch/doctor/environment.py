"""Checks the environment for variables that bypass the proxy or break trust in its CA."""

import re
from collections.abc import Iterator
from pathlib import Path

from addon.launch.agents import CA_VARIABLES
from addon.launch.ca_bundle import SYSTEM_FILES, holds_ca
from addon.launch.doctor.findings import Finding, Severity, Subject
from addon.launch.environment import direct_hosts, is_direct

USE_RUN = "llm-proxy run sets it for the agent"


def check_environment(subject: Subject) -> Iterator[Finding]:
    """A finding for each conflict, or one that there is none."""
    found = [
        Finding(Severity.WARNING, text, USE_RUN) for check in _CONFLICTS for text in check(subject)
    ]
    yield from found or [Finding(Severity.OK, "environment: nothing in it bypasses the proxy")]


def check_trust(subject: Subject) -> Iterator[Finding]:
    """Whether the agent trusts mitmproxy's CA."""
    variables = subject.agent.trusts if subject.agent else CA_VARIABLES
    who = subject.agent.name if subject.agent else "AGENT"
    fix = f'start it with llm-proxy run, or: eval "$(llm-proxy env {who})"'
    named = {name: Path(subject.environ[name]) for name in variables if subject.environ.get(name)}
    knowing = [name for name, path in named.items() if holds_ca([path])]
    lacking = [name for name in named if name not in knowing]
    is_in_system = holds_ca(SYSTEM_FILES)
    if lacking and not (knowing and subject.agent):
        text = f"trust: the CA is missing from the file in {', '.join(lacking)}"
        yield Finding(Severity.WARNING, text, fix)
    elif knowing or is_in_system:
        sources = [*knowing, *(["the system's store"] if is_in_system else [])]
        yield Finding(Severity.OK, f"trust: {', '.join(sources)} contains the CA")
    else:
        text = f"trust: nothing makes programs trust the CA; set {' or '.join(variables)}"
        yield Finding(Severity.WARNING, text, fix)


def _other_proxy(subject: Subject) -> Iterator[str]:
    for name in ("HTTPS_PROXY", "https_proxy"):
        value = subject.environ.get(name)
        if value and _host_and_port(value) != _host_and_port(subject.url):
            yield f"{name} points at {_host_and_port(value)}, not at the proxy"


def _all_proxy(subject: Subject) -> Iterator[str]:
    is_enough = subject.agent is not None and subject.agent.obeys_all_proxy
    has_https = subject.environ.get("HTTPS_PROXY") or subject.environ.get("https_proxy")
    for name in ("ALL_PROXY", "all_proxy"):
        if subject.environ.get(name) and not has_https and not is_enough:
            who = subject.agent.name if subject.agent else "most agents"
            yield f"{name} alone is not enough: {who} ignores it"


def _direct(subject: Subject) -> Iterator[str]:
    for name in ("NO_PROXY", "no_proxy"):
        entries = direct_hosts(subject.environ.get(name))
        hosts = [host for host in subject.settings.intercept_hosts if is_direct(host, entries)]
        if hosts:
            yield f"{name} bypasses the proxy for {', '.join(hosts)}"


def _two_spellings(subject: Subject) -> Iterator[str]:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        values = {subject.environ.get(name), subject.environ.get(name.lower())} - {None}
        if len(values) > 1:
            yield f"{name} and {name.lower()} differ, and agents read only one of them"


def _other_base(subject: Subject) -> Iterator[str]:
    known = (_host_and_port(subject.url), *subject.settings.intercept_hosts)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        value = subject.environ.get(name)
        if value and _host_and_port(value) not in known:
            yield f"{name} points at {_host_and_port(value)}, which is not the proxy"


_CONFLICTS = (_other_proxy, _all_proxy, _direct, _two_spellings, _other_base)


def _host_and_port(url: str) -> str:
    """Host and port of a URL, which may be malformed, without its password."""
    rest = re.sub(r"^\w+://", "", url.strip())
    return rest.partition("/")[0].rpartition("@")[2].replace("localhost", "127.0.0.1")

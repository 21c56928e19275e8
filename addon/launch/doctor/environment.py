"""What in the environment would lead an agent elsewhere, or make it distrust the proxy."""

import re
from collections.abc import Iterator
from pathlib import Path

from addon.launch.agents import CA_VARIABLES
from addon.launch.ca_bundle import SYSTEM_FILES, holds_ca
from addon.launch.doctor.findings import Finding, Severity, Subject
from addon.launch.environment import direct_hosts, is_direct

USE_RUN = "llm-proxy run sets it right for the agent alone"


def check_environment(subject: Subject) -> Iterator[Finding]:
    """Every clash; that there is none is said too."""
    found = [
        Finding(Severity.WARNING, text, USE_RUN) for clash in _CLASHES for text in clash(subject)
    ]
    yield from found or [Finding(Severity.OK, "environment: nothing in it is against the proxy")]


def check_trust(subject: Subject) -> Iterator[Finding]:
    """Through what the agent knows our CA, and what would make it forget."""
    wanted = subject.agent.trusts if subject.agent else CA_VARIABLES
    who = subject.agent.name if subject.agent else "AGENT"
    fix = f'start it with llm-proxy run, or: eval "$(llm-proxy env {who})"'
    named = {name: Path(subject.environ[name]) for name in wanted if subject.environ.get(name)}
    knowing = [name for name, path in named.items() if holds_ca([path])]
    lacking = [name for name in named if name not in knowing]
    is_in_system = holds_ca(SYSTEM_FILES)
    if lacking and not (knowing and subject.agent):
        text = f"trust: the CA is missing in the file of {', '.join(lacking)}"
        yield Finding(Severity.WARNING, text, fix)
    elif knowing or is_in_system:
        sources = [*knowing, *(["the system's store"] if is_in_system else [])]
        yield Finding(Severity.OK, f"trust: the CA is known through {', '.join(sources)}")
    else:
        text = f"trust: the CA is not known; {' or '.join(wanted)} can tell"
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
            who = subject.agent.name if subject.agent else "many an agent"
            yield f"{name} alone is not enough: {who} ignores it"


def _direct(subject: Subject) -> Iterator[str]:
    for name in ("NO_PROXY", "no_proxy"):
        entries = direct_hosts(subject.environ.get(name))
        hosts = [host for host in subject.settings.intercept_hosts if is_direct(host, entries)]
        if hosts:
            yield f"{name} keeps from the proxy: {', '.join(hosts)}"


def _two_spellings(subject: Subject) -> Iterator[str]:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        values = {subject.environ.get(name), subject.environ.get(name.lower())} - {None}
        if len(values) > 1:
            yield f"{name} and {name.lower()} differ: agents read one or the other"


def _other_base(subject: Subject) -> Iterator[str]:
    known = (_host_and_port(subject.url), *subject.settings.intercept_hosts)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        value = subject.environ.get(name)
        if value and _host_and_port(value) not in known:
            yield f"{name} points at {_host_and_port(value)}, which is not the proxy"


_CLASHES = (_other_proxy, _all_proxy, _direct, _two_spellings, _other_base)


def _host_and_port(url: str) -> str:
    """The host and port of a URL, whatever is wrong with it; without its password."""
    rest = re.sub(r"^\w+://", "", url.strip())
    return rest.partition("/")[0].rpartition("@")[2].replace("localhost", "127.0.0.1")

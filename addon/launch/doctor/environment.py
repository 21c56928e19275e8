"""What in the environment would lead an agent elsewhere, or make it distrust the proxy."""

import re
from collections.abc import Iterator
from pathlib import Path

from addon.launch.agents import CA_VARIABLES
from addon.launch.ca_bundle import SYSTEM_FILES, holds_ca
from addon.launch.doctor.findings import Case, Finding, Mark
from addon.launch.environment import direct_hosts, is_direct

USE_RUN = "llm-proxy run sets it right for the agent alone"


def check_environment(case: Case) -> Iterator[Finding]:
    """Every clash; that there is none is said too."""
    found = [Finding(Mark.WARNING, text, USE_RUN) for clash in _CLASHES for text in clash(case)]
    yield from found or [Finding(Mark.OK, "environment: nothing in it is against the proxy")]


def check_trust(case: Case) -> Iterator[Finding]:
    """Through what the agent knows our CA, and what would make it forget."""
    wanted = case.agent.trusts if case.agent else CA_VARIABLES
    who = case.agent.name if case.agent else "AGENT"
    cure = f'start it with llm-proxy run, or: eval "$(llm-proxy env {who})"'
    named = {name: Path(case.environ[name]) for name in wanted if case.environ.get(name)}
    knowing = [name for name, path in named.items() if holds_ca([path])]
    lacking = [name for name in named if name not in knowing]
    is_in_system = holds_ca(SYSTEM_FILES)
    if lacking and not (knowing and case.agent):
        text = f"trust: the CA is missing in the file of {', '.join(lacking)}"
        yield Finding(Mark.WARNING, text, cure)
    elif knowing or is_in_system:
        places = [*knowing, *(["the system's store"] if is_in_system else [])]
        yield Finding(Mark.OK, f"trust: the CA is known through {', '.join(places)}")
    else:
        text = f"trust: the CA is not known; {' or '.join(wanted)} can tell"
        yield Finding(Mark.WARNING, text, cure)


def _other_proxy(case: Case) -> Iterator[str]:
    for name in ("HTTPS_PROXY", "https_proxy"):
        value = case.environ.get(name)
        if value and _place(value) != _place(case.url):
            yield f"{name} points at {_place(value)}, not at the proxy"


def _all_proxy(case: Case) -> Iterator[str]:
    is_enough = case.agent is not None and case.agent.obeys_all_proxy
    has_https = case.environ.get("HTTPS_PROXY") or case.environ.get("https_proxy")
    for name in ("ALL_PROXY", "all_proxy"):
        if case.environ.get(name) and not has_https and not is_enough:
            who = case.agent.name if case.agent else "many an agent"
            yield f"{name} alone is not enough: {who} ignores it"


def _direct(case: Case) -> Iterator[str]:
    for name in ("NO_PROXY", "no_proxy"):
        entries = direct_hosts(case.environ.get(name))
        hosts = [host for host in case.settings.intercept_hosts if is_direct(host, entries)]
        if hosts:
            yield f"{name} keeps from the proxy: {', '.join(hosts)}"


def _two_spellings(case: Case) -> Iterator[str]:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        values = {case.environ.get(name), case.environ.get(name.lower())} - {None}
        if len(values) > 1:
            yield f"{name} and {name.lower()} differ: agents read one or the other"


def _other_base(case: Case) -> Iterator[str]:
    known = (_place(case.url), *case.settings.intercept_hosts)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        value = case.environ.get(name)
        if value and _place(value) not in known:
            yield f"{name} points at {_place(value)}, which is not the proxy"


_CLASHES = (_other_proxy, _all_proxy, _direct, _two_spellings, _other_base)


def _place(url: str) -> str:
    """The host and port of a URL, whatever is wrong with it; without its password."""
    rest = re.sub(r"^\w+://", "", url.strip())
    return rest.partition("/")[0].rpartition("@")[2].replace("localhost", "127.0.0.1")

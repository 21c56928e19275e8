"""Computes the environment in which an agent uses the proxy."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from addon.launch.agents import COMMON, PLACEHOLDER, Agent, Mode, fill
from addon.launch.ca_bundle import BUNDLE
from backends.keys import MIN_LENGTH

_LOOPBACK = ("localhost", "127.0.0.1")


class Proxy(NamedTuple):
    """A proxy's URL and its client key."""

    url: str
    key: str

    @property
    def template_values(self) -> Mapping[str, str]:
        """Values of the `$placeholders` in the table of agents."""
        login = self.url.replace("://", f"://x:{quote(self.key, safe='')}@")
        return {
            "url": self.url,
            "login": login,
            "key": self.key,
            "json_key": json.dumps(self.key),
            "bundle": str(BUNDLE),
        }


def additions(
    agent: Agent,
    mode: Mode,
    proxy: Proxy,
    inherited: Mapping[str, str],
    llm_hosts: Iterable[str],
) -> dict[str, str]:
    """The variables to set in addition to the `inherited` ones."""
    common, own = COMMON[mode], agent.setup(mode)
    defaults = {
        name: value
        for name, value in {**common.defaults, **own.defaults}.items()
        if not inherited.get(name)
    }
    templates = {**defaults, **common.variables, **own.variables}
    direct = ",".join(_direct_hosts(inherited, llm_hosts))
    filled = {name: fill(value, proxy.template_values) for name, value in templates.items()}
    return filled | {"NO_PROXY": direct, "no_proxy": direct}


def without_secrets(environ: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """`environ` with each secret replaced by a placeholder, also inside other values."""
    known = sorted(secrets, key=len, reverse=True)  # a secret may start with another
    # Shorter ones occur inside other values by chance.
    long = [re.escape(each) for each in known if len(each) >= MIN_LENGTH]
    anywhere = re.compile("|".join(long) or "(?!)")
    return {
        name: PLACEHOLDER if value.strip() in known else anywhere.sub(PLACEHOLDER, value)
        for name, value in environ.items()
    }


def _direct_hosts(inherited: Mapping[str, str], llm_hosts: Iterable[str]) -> list[str]:
    """NO_PROXY: this machine and the user's entries, without the LLM hosts."""
    named = [*direct_hosts(inherited.get("NO_PROXY")), *direct_hosts(inherited.get("no_proxy"))]
    hosts = tuple(llm_hosts)
    kept = [entry for entry in named if not any(is_direct(host, [entry]) for host in hosts)]
    return list(dict.fromkeys([*_LOOPBACK, *kept]))


def direct_hosts(no_proxy: str | None) -> list[str]:
    """The entries of a NO_PROXY."""
    return [entry.strip() for entry in (no_proxy or "").split(",") if entry.strip()]


def is_direct(host: str, entries: Iterable[str]) -> bool:
    """Whether NO_PROXY `entries` exclude `host`; each is a name, a domain or `*`."""
    domains = (entry.partition(":")[0].lstrip("*.").lower() for entry in entries)
    return any(not domain or f".{host}".endswith(f".{domain}") for domain in domains)

"""The subject of the checks, and the findings that they return."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from addon.launch.agents import Agent
from commands.config.model import Config


class Severity(StrEnum):
    """A problem stops the proxy, a warning may stop an agent from using it."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """A line about one thing, and what to do about it."""

    severity: Severity
    text: str
    fix: str = ""


class Subject(NamedTuple):
    """What the checks look at."""

    settings: Config
    url: str
    """Where the proxy runs or would run."""
    environ: Mapping[str, str]
    agent: Agent | None


Check = Callable[[Subject], Iterator[Finding]]

"""What the doctor is asked about, and what it says."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from addon.launch.agents import Agent
from commands.config.model import Config


class Severity(StrEnum):
    """A problem keeps the proxy from working, a warning an agent from using it."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One line, and the cure on another one."""

    severity: Severity
    text: str
    fix: str = ""


class Subject(NamedTuple):
    """What is looked at. `url` is where the proxy is, or would be."""

    settings: Config
    url: str
    environ: Mapping[str, str]
    agent: Agent | None


Check = Callable[[Subject], Iterator[Finding]]

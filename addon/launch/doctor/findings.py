"""What the doctor is asked about, and what it says."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from addon.launch.agents import Agent
from commands.config.model import Config


class Mark(StrEnum):
    """A problem keeps the proxy from working, a warning an agent from using it."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One line, and the cure on another one."""

    mark: Mark
    text: str
    cure: str = ""


class Case(NamedTuple):
    """What is looked at. `url` is where the proxy is, or would be."""

    settings: Config
    url: str
    environ: Mapping[str, str]
    agent: Agent | None


Check = Callable[[Case], Iterator[Finding]]

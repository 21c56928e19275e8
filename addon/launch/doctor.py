"""`llm-proxy doctor`: look for what keeps the proxy, or an agent, from working."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from addon import flags as setting_flags
from addon.launch import clashes, machine, server, upstreams
from addon.launch.agents import find_agent
from addon.launch.finding import Case, Check, Finding, Mark
from commands.config.levels import SettingsError
from commands.config.load import read

CHECKS: tuple[Check, ...] = (
    machine.check_address,
    machine.check_client_key,
    upstreams.check_upstreams,
    machine.check_ca,
    clashes.check_trust,
    clashes.check_environment,
    machine.check_agent,
)


def main(arguments: Sequence[str]) -> int:
    """Print the findings; 1 if there is a problem among them."""
    flags = vars(_parser().parse_args(arguments))
    marks = set()
    for finding in _findings(flags):
        marks.add(finding.mark)
        print(f"{finding.mark:<8} {finding.text}", flush=True)
        if finding.cure:
            print(f"{'':<8} -> {finding.cure}")
    return int(Mark.PROBLEM in marks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy doctor",
        usage="llm-proxy doctor [AGENT] [settings]",
        description="Look for what keeps the proxy from working, or an agent from using it.",
        allow_abbrev=False,
    )
    parser.add_argument("agent", nargs="?", help="its name, or the program that starts it")
    setting_flags.add_settings(parser)
    return parser


def _findings(flags: Mapping[str, object]) -> Iterator[Finding]:
    yield from machine.check_programs()
    try:
        configured = read(flags, os.environ, None)
        settings = configured.settings
        url = server.url_of(settings, settings.port)
    except (SettingsError, server.LaunchError) as error:
        yield from (Finding(Mark.PROBLEM, line) for line in str(error).splitlines())
        return
    yield from machine.check_files(configured.files, Path.cwd())
    agent = find_agent(str(flags["agent"])) if flags["agent"] else None
    case = Case(settings, url, os.environ, agent)
    for check in CHECKS:
        yield from check(case)

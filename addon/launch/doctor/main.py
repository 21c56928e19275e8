"""`llm-proxy doctor`: runs all checks and prints their findings."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from addon.launch import proxy_process
from addon.launch.agents import find_agent
from addon.launch.doctor import environment, system, upstreams
from addon.launch.doctor.findings import Check, Finding, Severity, Subject
from addon.program import flags as setting_flags
from commands.config.levels import ConfigError
from commands.config.load import read

CHECKS: tuple[Check, ...] = (
    system.check_address,
    system.check_client_key,
    upstreams.check_upstreams,
    system.check_ca,
    environment.check_trust,
    environment.check_environment,
    system.check_agent,
)


def main(arguments: Sequence[str]) -> int:
    """Print the findings. Returns 1 if one of them is a problem."""
    flags = vars(_parser().parse_args(arguments))
    severities = set()
    for finding in _findings(flags):
        severities.add(finding.severity)
        print(f"{finding.severity:<8} {finding.text}", flush=True)
        if finding.fix:
            print(f"{'':<8} -> {finding.fix}")
    return int(Severity.PROBLEM in severities)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy doctor",
        usage="llm-proxy doctor [AGENT] [settings]",
        description="Find what keeps the proxy from working or an agent from using it.",
        allow_abbrev=False,
    )
    parser.add_argument("agent", nargs="?", help="its name or its program")
    setting_flags.add_settings(parser)
    return parser


def _findings(flags: Mapping[str, object]) -> Iterator[Finding]:
    yield from system.check_programs()
    try:
        configured = read(flags, os.environ, None)
        settings = configured.settings
        url = proxy_process.url_of(settings, settings.port)
    except (ConfigError, proxy_process.LaunchError) as error:
        yield from (Finding(Severity.PROBLEM, line) for line in str(error).splitlines())
        return
    yield from system.check_files(configured.files, Path.cwd())
    agent = find_agent(str(flags["agent"])) if flags["agent"] else None
    subject = Subject(settings, url, os.environ, agent)
    for check in CHECKS:
        yield from check(subject)

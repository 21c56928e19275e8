"""`llm-proxy env`: prints an agent's environment for the proxy as lines for a shell."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence

from addon.launch import ca_bundle, proxy_process
from addon.launch.agents import PLACEHOLDER, Agent, Mode, fill, find_agent
from addon.launch.environment import Proxy, additions
from addon.launch.run import WRONG_USAGE, add_mode
from addon.program import flags as setting_flags
from addon.program.product import CLIENT_KEY_NAME
from commands.config.levels import ConfigError
from commands.config.load import load
from commands.config.model import CONFIG_FIELDS

# Exported to a shell, the proxy would read them at its next start.
OURS = frozenset(setting.env for setting in CONFIG_FIELDS if setting.env)


def main(arguments: Sequence[str]) -> int:
    """Print `export` lines and comments. Returns 1 if the client key or the port is unknown."""
    flags = vars(_parser().parse_args(arguments))
    try:
        settings = load(flags, os.environ, None)
        url = proxy_process.url_of(settings, settings.port)
        ca_bundle.prepare(os.environ)
    except (ConfigError, proxy_process.LaunchError) as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    client_key = settings.client_key
    if client_key is None and not settings.disable_auth:
        _comment(
            f"No client key is configured, and each start of the proxy generates one: set "
            f"{CLIENT_KEY_NAME} for the proxy and here, or use llm-proxy run."
        )
        return 1
    if settings.port == 0:
        _comment("Port 0 means any free port, which env cannot know: choose one with --port.")
        return 1
    proxy = Proxy(url, client_key.value if client_key else PLACEHOLDER)
    agent, mode = find_agent(flags["agent"]), Mode(flags["mode"])
    added = additions(agent, mode, proxy, os.environ, settings.intercept_hosts)
    for name, value in added.items():
        if name not in OURS:
            print(f"export {name}={shlex.quote(value)}")
    for line in _remaining_steps(agent, mode, proxy):
        _comment(line)
    for name in sorted(OURS & added.keys()):
        _comment(
            f"Set it for {agent.name} only, because the proxy reads it too: {name}={added[name]}"
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy env",
        usage="llm-proxy env AGENT [--mode proxy|base-url] [settings]",
        description="Print the environment with which an agent uses a running proxy. In a "
        'shell: eval "$(llm-proxy env codex)"',
        allow_abbrev=False,
    )
    parser.add_argument("agent", help="its name or its program")
    add_mode(parser)
    setting_flags.add_settings(parser)
    return parser


def _remaining_steps(agent: Agent, mode: Mode, proxy: Proxy) -> Iterator[str]:
    setup = agent.setup(mode)
    if setup.unsupported_reason:
        yield f"{agent.name} cannot use --mode {mode}: {setup.unsupported_reason}"
    if setup.arguments:
        arguments = shlex.join(
            fill(argument, proxy.template_values) for argument in setup.arguments
        )
        yield f"Start it with: {agent.executable} {arguments}"
    if setup.note:
        yield f"{agent.name}: {fill(setup.note, proxy.template_values)}"


def _comment(line: str) -> None:
    """Print a line that `eval` skips and the user still sees."""
    print(f"# {line}")
    if not sys.stdout.isatty():
        print(f"llm-proxy: {line}", file=sys.stderr)

"""`llm-proxy run`: start an agent that uses the proxy, and a proxy for it if none runs."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from addon.launch import ca_bundle, proxy_process
from addon.launch.agents import Mode, fill, find_agent
from addon.launch.environment import additions, without_secrets
from addon.program import flags as setting_flags
from commands.config.levels import FILE_FLAG, ConfigError, unread_files
from commands.config.load import Configuration, read

# The terminal sends these to the agent as well as to us; the others only one of us gets.
OF_THE_TERMINAL = ("SIGINT", "SIGQUIT")
OF_OTHERS = ("SIGTERM", "SIGHUP")

# Exit codes as of env, timeout and the shells.
WRONG_USAGE, NO_PROXY, CANNOT_RUN, NOT_FOUND, BY_SIGNAL = 2, 125, 126, 127, 128


def main(arguments: Sequence[str]) -> int:
    """Returns the agent's exit code, 128 + n if signal n ended it, or one of those above."""
    ours, command = setting_flags.split(arguments)
    parser = _parser()
    flags = vars(parser.parse_args(ours))
    if not command:
        parser.error("no agent given: llm-proxy run -- AGENT ARGUMENTS...")
    for number in _numbers(*OF_THE_TERMINAL, *OF_OTHERS):
        signal.signal(number, _leave)
    try:
        configured = read(flags, os.environ, None)
        return _run(command, Mode(flags["mode"]), configured, setting_flags.to_argv(flags))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except proxy_process.LaunchError as error:
        _tell(str(error))
        return NO_PROXY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy run",
        usage="llm-proxy run [--mode proxy|base-url] [settings] -- AGENT ARGUMENTS...",
        description="Start a coding agent so that it uses the proxy. One that runs already at the "
        "configured address is used as it is, else one is started for as long as the agent runs.",
        epilog="The settings are those of llm-proxy: see llm-proxy --help.",
        allow_abbrev=False,
    )
    add_mode(parser)
    setting_flags.add_settings(parser)
    return parser


def add_mode(parser: argparse.ArgumentParser) -> None:
    """The flag that `env` has too."""
    parser.add_argument(
        "--mode",
        choices=list(Mode),
        default=Mode.PROXY,
        help="how the agent reaches it: as an HTTPS proxy (default) or by its base URL",
    )


def _run(
    command: Sequence[str], mode: Mode, configured: Configuration, flags: Sequence[str]
) -> int:
    settings = configured.settings
    agent = find_agent(command[0])
    setup = agent.setup(mode)
    if setup.unsupported_reason:
        _tell(f"{agent.name} cannot use --mode {mode}: {setup.unsupported_reason}")
        return WRONG_USAGE
    executable = shutil.which(command[0])
    if executable is None:
        _tell(f"{command[0]}: not found, or not executable")
        return NOT_FOUND
    ca_bundle.prepare(os.environ)
    with proxy_process.available_proxy(settings, flags, os.environ) as (proxy, what):
        _tell(what)
        if not settings.api_keys and not settings.is_demo and not settings.playback:
            for name in unread_files(Path.cwd()):
                _tell(f"no key is configured; {name} here is not read without {FILE_FLAG} {name}")
        if setup.note:
            _tell(f"{agent.name}: {fill(setup.note, proxy.template_values)}")
        added = additions(agent, mode, proxy, os.environ, settings.intercept_hosts)
        arguments = [fill(argument, proxy.template_values) for argument in setup.arguments]
        environ = {**without_secrets(os.environ, configured.secrets), **added}
        return _in_foreground([executable, *arguments, *command[1:]], environ)


def _in_foreground(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program on our terminal until it ends; returns its exit code."""
    for number in _numbers(*OF_THE_TERMINAL):
        signal.signal(number, lambda number, frame: None)
    try:
        process = subprocess.Popen(command, env=environ)
    except OSError as error:
        _tell(f"{command[0]}: {error.strerror}")
        return CANNOT_RUN
    for number in _numbers(*OF_OTHERS):
        signal.signal(number, lambda number, frame: process.send_signal(number))
    code = process.wait()
    return code if code >= 0 else BY_SIGNAL - code


def _leave(number: int, frame: FrameType | None) -> None:
    """As long as there is no agent: end, and the proxy with us."""
    raise SystemExit(BY_SIGNAL + number)


def _numbers(*names: str) -> list[signal.Signals]:
    """Those signals that this system has."""
    return [number for name in names if (number := getattr(signal, name, None))]


def _tell(line: str) -> None:
    print(f"llm-proxy: {line}", file=sys.stderr, flush=True)

"""`llm-proxy run`: starts an agent that uses the proxy, and a proxy for it if none runs."""

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

# The terminal sends these to the agent too ...
TERMINAL_SIGNALS = ("SIGINT", "SIGQUIT")
# ... and these reach only this process, which forwards them.
FORWARDED_SIGNALS = ("SIGTERM", "SIGHUP")

# Exit codes as in env, timeout and shells.
WRONG_USAGE, NO_PROXY, CANNOT_RUN, NOT_FOUND, BY_SIGNAL = 2, 125, 126, 127, 128


def main(arguments: Sequence[str]) -> int:
    """Returns the agent's exit code, 128 + n after signal n, or one of the codes above."""
    ours, command = setting_flags.split(arguments)
    parser = _parser()
    flags = vars(parser.parse_args(ours))
    if not command:
        parser.error("no agent given: llm-proxy run -- AGENT ARGUMENTS...")
    for number in _signals(*TERMINAL_SIGNALS, *FORWARDED_SIGNALS):
        signal.signal(number, _exit_on_signal)
    try:
        configured = read(flags, os.environ, None)
        return _run(command, Mode(flags["mode"]), configured, setting_flags.to_argv(flags))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except proxy_process.LaunchError as error:
        _print(str(error))
        return NO_PROXY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy run",
        usage="llm-proxy run [--mode proxy|base-url] [settings] -- AGENT ARGUMENTS...",
        description="Start a coding agent so that it uses the proxy: the one that runs at the "
        "configured address, or else a new one for as long as the agent runs.",
        epilog="For the settings see llm-proxy --help.",
        allow_abbrev=False,
    )
    add_mode(parser)
    setting_flags.add_settings(parser)
    return parser


def add_mode(parser: argparse.ArgumentParser) -> None:
    """Add `--mode`, which `run` and `env` share."""
    parser.add_argument(
        "--mode",
        choices=list(Mode),
        default=Mode.PROXY,
        help="how the agent reaches the proxy: as its HTTPS proxy (default) or by base URL",
    )


def _run(
    command: Sequence[str], mode: Mode, configured: Configuration, flags: Sequence[str]
) -> int:
    settings = configured.settings
    agent = find_agent(command[0])
    setup = agent.setup(mode)
    if setup.unsupported_reason:
        _print(f"{agent.name} cannot use --mode {mode}: {setup.unsupported_reason}")
        return WRONG_USAGE
    executable = shutil.which(command[0])
    if executable is None:
        _print(f"{command[0]}: not found, or not executable")
        return NOT_FOUND
    ca_bundle.prepare(os.environ)
    with proxy_process.available_proxy(settings, flags, os.environ) as (proxy, message):
        _print(message)
        if not settings.api_keys and not settings.is_demo and not settings.playback:
            for name in unread_files(Path.cwd()):
                _print(f"no API key is configured; to read {name} here, add {FILE_FLAG} {name}")
        if setup.note:
            _print(f"{agent.name}: {fill(setup.note, proxy.template_values)}")
        added = additions(agent, mode, proxy, os.environ, settings.intercept_hosts)
        arguments = [fill(argument, proxy.template_values) for argument in setup.arguments]
        environ = {**without_secrets(os.environ, configured.secrets), **added}
        return _in_foreground([executable, *arguments, *command[1:]], environ)


def _in_foreground(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program in this terminal. Returns its exit code."""
    for number in _signals(*TERMINAL_SIGNALS):
        signal.signal(number, lambda number, frame: None)
    try:
        process = subprocess.Popen(command, env=environ)
    except OSError as error:
        _print(f"{command[0]}: {error.strerror}")
        return CANNOT_RUN
    for number in _signals(*FORWARDED_SIGNALS):
        signal.signal(number, lambda number, frame: process.send_signal(number))
    code = process.wait()
    return code if code >= 0 else BY_SIGNAL - code


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Before the agent runs, a signal ends this process and its proxy."""
    raise SystemExit(BY_SIGNAL + number)


def _signals(*names: str) -> list[signal.Signals]:
    """The signals by name, without those that this system lacks."""
    return [number for name in names if (number := getattr(signal, name, None))]


def _print(line: str) -> None:
    print(f"llm-proxy: {line}", file=sys.stderr, flush=True)

"""The console script `llm-proxy`: runs the proxy in mitmdump or mitmweb, or a subcommand."""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from addon.program import flags as setting_flags, logs
from addon.program.product import VERSION
from commands.config.levels import ConfigError
from commands.config.load import read

SUBCOMMANDS = {
    "run": "addon.launch.run",
    "env": "addon.launch.env",
    "doctor": "addon.launch.doctor.main",
}
"""The module of each subcommand, imported only when used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names, else the proxy. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in SUBCOMMANDS:
        subcommand = importlib.import_module(SUBCOMMANDS[arguments[0]])
        return int(subcommand.main(arguments[1:]))
    return _proxy(arguments)


def _proxy(arguments: Sequence[str]) -> int:
    """Run the proxy until it is stopped. Returns 2 if a setting is wrong."""
    ours, theirs = setting_flags.split(arguments)
    flags = vars(_parser().parse_args(ours))
    if flags.pop("addon_path"):
        print(Path(__file__).with_name("llm_proxy.py"))
        return 0
    logs.make_output_safe()
    from addon.program import lazy_addons  # here, because subcommands start without mitmproxy

    lazy_addons.install()
    from addon import layers
    from addon.program import masters
    from addon.proxy import LlmProxy

    run = masters.run_web if flags.pop("web") else masters.run_dump
    directory = None if flags.pop("ignore_folder") else Path.cwd()
    try:
        configured = read(flags, os.environ, directory)
        addon = LlmProxy(configured.settings, layers.incompatibility(), configured.warning)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    run(addon, theirs)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy",
        description="An intercepting proxy for coding agents, in front of OpenRouter and Gemini.",
        epilog="What follows '--' goes to mitmproxy: llm-proxy -- -w flows.mitm. Subcommands with "
        "a --help of their own: run (start an agent that uses the proxy), env (print what the "
        "agent's environment needs), doctor (look for what is wrong).",
        allow_abbrev=False,
    )
    setting_flags.add_settings(parser, reads_folder=True)
    parser.add_argument(
        "--ignore-folder",
        action="store_true",
        help="do not read proxy.yaml and .env of the working directory",
    )
    parser.add_argument("--web", action="store_true", help="show the traffic in mitmweb")
    parser.add_argument("--version", action="version", version=_versions())
    parser.add_argument(
        "--addon-path",
        action="store_true",
        help='print what to give to mitmproxy: mitmdump -s "..."',
    )
    return parser


def _versions() -> str:
    return (
        f"llm-proxy {VERSION} "
        f"(mitmproxy {version('mitmproxy')}, Python {platform.python_version()})"
    )


if __name__ == "__main__":
    sys.exit(main())

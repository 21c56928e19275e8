"""The console script `llm-proxy`: our flags, then mitmdump or mitmweb with the addon in it."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from mitmproxy.options import Options
from mitmproxy.tools import cmdline, main as tools

from addon import layers, startup
from addon.proxy import LlmProxy
from commands.config import SETTINGS, SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proxy until it is stopped; the exit code is 2 if a setting is wrong."""
    parser = _parser()
    ours, theirs = _split(sys.argv[1:] if arguments is None else list(arguments))
    flags = vars(parser.parse_args(ours))
    if flags.pop("addon_path"):
        print(Path(__file__).with_name("llm_proxy.py"))
        return 0
    run = _run_web if flags.pop("web") else _run_dump
    try:
        addon = LlmProxy(load(flags, os.environ, Path.cwd()), layers.missing())
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    run(addon, theirs)
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our flags, and mitmproxy's behind the first `--`."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-proxy",
        description="An intercepting proxy for coding agents, in front of OpenRouter and Gemini.",
        epilog="What follows '--' goes to mitmproxy: llm-proxy -- -w flows.mitm",
        allow_abbrev=False,
    )
    for setting in SETTINGS:
        if setting.flag:
            parser.add_argument(setting.flag, **setting.argument())
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
        f"llm-proxy {version('llm-interactive-proxy')} "
        f"(mitmproxy {version('mitmproxy')}, Python {platform.python_version()})"
    )


def _run_dump(addon: LlmProxy, arguments: Sequence[str]) -> None:
    from mitmproxy.tools.dump import DumpMaster  # a user interface is imported only if it is used

    class LlmDump(DumpMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            startup.add_to(self, addon)

    tools.run(LlmDump, cmdline.mitmdump, arguments, _filters)


def _filters(parsed: argparse.Namespace) -> dict[str, str]:
    """mitmdump's own meaning of a filter behind its flags: what to show, and what to save."""
    text = " ".join(parsed.filter_args)
    return {"save_stream_filter": text, "dumper_filter": text} if text else {}


def _run_web(addon: LlmProxy, arguments: Sequence[str]) -> None:
    from mitmproxy.tools.web.master import WebMaster

    class LlmWeb(WebMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            startup.add_to(self, addon)

    tools.run(LlmWeb, cmdline.mitmweb, arguments)

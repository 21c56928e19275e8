"""mitmproxy's programs with the addon in them."""

import argparse
from collections.abc import Sequence

from mitmproxy.options import Options
from mitmproxy.tools import cmdline, main as tools

from addon.program import startup
from addon.program.lean import LeanMaster


def run_dump(addon: object, arguments: Sequence[str]) -> None:
    class LlmDump(LeanMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options, addon, arguments)

    tools.run(LlmDump, cmdline.mitmdump, arguments, _filters)


def _filters(parsed: argparse.Namespace) -> dict[str, str]:
    """mitmdump's own meaning of a filter behind its flags: what to show, and what to save."""
    text = " ".join(parsed.filter_args)
    return {"save_stream_filter": text, "dumper_filter": text} if text else {}


def run_web(addon: object, arguments: Sequence[str]) -> None:
    from mitmproxy.tools.web.master import WebMaster  # imported only if it is used

    class LlmWeb(WebMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            startup.add_to(self, addon)

    tools.run(LlmWeb, cmdline.mitmweb, arguments)

"""mitmdump and mitmweb with the addon in them: `run_dump` and `run_web`.

For mitmdump a master of our own loads only the addons in use and calls hooks by a table.
mitmproxy's own asks each of its 35 addons about each of ten hooks, twice for a request. That is
half of its work.
"""

import argparse
import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mitmproxy import addons as stock, exceptions, http
from mitmproxy.addonmanager import AddonManager, Loader, safecall, traverse
from mitmproxy.addons import (
    block,
    core,
    disable_h2c,
    dns_resolver,
    dumper,
    errorcheck,
    keepserving,
    next_layer,
    proxyserver,
    readfile,
    save,
    savehar,
    script,
    termlog,
    tlsconfig,
    upstream_auth,
)
from mitmproxy.flow import Flow
from mitmproxy.hooks import Hook, UpdateHook
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.tools import cmdline, main as tools

from addon.program import startup

# In mitmproxy's order.
BASE_ADDONS: tuple[Callable[[], object], ...] = (
    core.Core,
    block.Block,
    disable_h2c.DisableH2C,
    proxyserver.Proxyserver,
    script.ScriptLoader,
    dns_resolver.DnsResolver,
    next_layer.NextLayer,
    save.Save,
    savehar.SaveHar,
    tlsconfig.TlsConfig,
    upstream_auth.UpstreamAuth,
    dumper.Dumper,
)


class HookTable(AddonManager):
    """An addon manager that looks up once which addons have a hook, and then calls only these."""

    def __init__(self, master: Master) -> None:
        AddonManager.__init__(self, master)
        self._table: dict[str, list[Callable[..., Any]]] = {}

    def register(self, addon: Any) -> Any:
        self._table.clear()
        return AddonManager.register(self, addon)

    def extend(self, addons: Iterable[object]) -> None:
        """Add the addons in this order."""
        for addon in addons:
            AddonManager.add(self, addon)

    def remove(self, addon: Any) -> None:
        self._table.clear()
        AddonManager.remove(self, addon)

    async def handle_lifecycle(self, event: Hook) -> None:
        await self.trigger_event(event)
        if self._hooks(UpdateHook.name) and isinstance(message := event.args()[0], Flow):
            await self.trigger_event(UpdateHook([message]))

    def _hooks(self, name: str) -> list[Callable[..., Any]]:
        hooks = self._table.get(name)
        if hooks is None:
            found = (getattr(addon, name, None) for addon in traverse(self.chain))
            hooks = self._table[name] = [hook for hook in found if callable(hook)]
        return hooks

    async def trigger_event(self, event: Hook) -> None:
        hooks = self._hooks(event.name)
        if not hooks:
            return
        arguments = event.args()
        for hook in hooks:
            try:
                result = hook(*arguments)
                if result is not None and inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except Exception:
                with safecall():  # logs the exception as mitmproxy does
                    raise


class MinimalMaster(Master):
    """mitmdump's master with `addon` and the base addons.

    If `arguments` or `config.yaml` set an option of another addon, it loads all of mitmproxy's.
    """

    def __init__(self, options: Options, addon: object, arguments: Sequence[str]) -> None:
        super().__init__(options)
        manager = HookTable(self)
        self.addons = manager
        self._termlog_addon = termlog.TermLog()
        chosen: list[object] = [self._termlog_addon, *(each() for each in BASE_ADDONS)]
        if not _cover(chosen, arguments):
            every = (*stock.default_addons(), dumper.Dumper(), keepserving.KeepServing())
            chosen = [self._termlog_addon, *every, readfile.ReadFileStdin()]
        at = next(n for n, each in enumerate(chosen) if isinstance(each, next_layer.NextLayer))
        chosen.insert(at, addon)  # the position of mitmproxy's scripts
        manager.extend([*chosen, errorcheck.ErrorCheck()])

    async def run(self) -> None:
        # A debugging check of mitmproxy for each message; `python -O` removes it as well.
        setattr(http.MessageData, "__post_init__", lambda self: None)  # noqa: B010  # for mypy
        # mitmproxy's handler creates a record of each debug message, then drops it.
        level = logging.getLevelNamesMapping().get(self.options.termlog_verbosity.upper(), 0)
        logging.getLogger().setLevel(min(level, logging.INFO))
        await super().run()


def _cover(chosen: Iterable[object], arguments: Sequence[str]) -> bool:
    """Whether these addons declare every option that the arguments and `config.yaml` set."""
    options = Options()
    loader = Loader(SimpleNamespace(options=options))
    for addon in chosen:
        if load := getattr(addon, "load", None):
            load(loader)
    parsed, unknown = cmdline.mitmdump(options).parse_known_args(arguments)
    names = [each.partition("=")[0] for each in parsed.setoptions]
    options.set(*parsed.setoptions, defer=True)
    folder = Path(options.confdir).expanduser()
    has_file = any((folder / f"config.{ending}").exists() for ending in ("yaml", "yml"))
    is_known = all(name in options for name in names)
    return is_known and not (unknown or has_file or parsed.options or parsed.commands)


def run_dump(addon: object, arguments: Sequence[str]) -> None:
    """Run mitmdump with `addon` until it is stopped; `arguments` are mitmdump's."""

    class LlmDump(MinimalMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options, addon, arguments)

    tools.run(LlmDump, cmdline.mitmdump, arguments, _filters)


def _filters(parsed: argparse.Namespace) -> dict[str, str]:
    """Apply mitmdump's filter arguments to the output and to the saved flows."""
    text = " ".join(parsed.filter_args)
    return {"save_stream_filter": text, "dumper_filter": text} if text else {}


def run_web(addon: object, arguments: Sequence[str]) -> None:
    """Run mitmweb with `addon` until it is stopped; `arguments` are mitmweb's."""
    from mitmproxy.tools.web.master import WebMaster  # slow to import

    class LlmWeb(WebMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            startup.add_to(self, addon)

    tools.run(LlmWeb, cmdline.mitmweb, arguments)

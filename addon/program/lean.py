"""mitmdump with no more add-ons than are needed, and with a table of who wants which hook.

Half of what mitmproxy does for a request is to ask each of its 35 add-ons, for each of ten hooks
and twice over, whether it has that hook.
"""

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
from mitmproxy.tools import cmdline

# In mitmproxy's order.
NEEDED: tuple[Callable[[], object], ...] = (
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
    """Calls the add-ons that have a hook, in their order, without asking the others each time."""

    def __init__(self, master: Master) -> None:
        AddonManager.__init__(self, master)
        self._table: dict[str, list[Callable[..., Any]]] = {}

    def register(self, addon: Any) -> Any:
        self._table.clear()
        return AddonManager.register(self, addon)

    def extend(self, addons: Iterable[object]) -> None:
        """Add all of them, in this order."""
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
                with safecall():  # tells of it as mitmproxy does
                    raise


class LeanMaster(Master):
    """Runs `addon` as mitmdump would with these arguments; where they ask for more, with all."""

    def __init__(self, options: Options, addon: object, arguments: Sequence[str]) -> None:
        super().__init__(options)
        manager = HookTable(self)
        self.addons = manager
        self._termlog_addon = termlog.TermLog()
        chosen: list[object] = [self._termlog_addon, *(each() for each in NEEDED)]
        if not _suffice(chosen, arguments):
            every = (*stock.default_addons(), dumper.Dumper(), keepserving.KeepServing())
            chosen = [self._termlog_addon, *every, readfile.ReadFileStdin()]
        at = next(n for n, each in enumerate(chosen) if isinstance(each, next_layer.NextLayer))
        chosen.insert(at, addon)  # where mitmproxy puts scripts
        manager.extend([*chosen, errorcheck.ErrorCheck()])

    async def run(self) -> None:
        # A check for debugging, as mitmproxy has it: gone with `python -O`.
        setattr(http.MessageData, "__post_init__", lambda self: None)  # noqa: B010  # for mypy
        # mitmproxy makes a record of each debug message, whether anybody wants it or not.
        wanted = logging.getLevelNamesMapping().get(self.options.termlog_verbosity.upper(), 0)
        logging.getLogger().setLevel(min(wanted, logging.INFO))
        await super().run()


def _suffice(chosen: Iterable[object], arguments: Sequence[str]) -> bool:
    """Whether these add-ons know all the options that the arguments and `config.yaml` may set."""
    options = Options()
    loader = Loader(SimpleNamespace(options=options))
    for addon in chosen:
        if load := getattr(addon, "load", None):
            load(loader)
    asked, unknown = cmdline.mitmdump(options).parse_known_args(arguments)
    names = [each.partition("=")[0] for each in asked.setoptions]
    options.set(*asked.setoptions, defer=True)
    folder = Path(options.confdir).expanduser()
    has_file = any((folder / f"config.{ending}").exists() for ending in ("yaml", "yml"))
    is_known = all(name in options for name in names)
    return is_known and not (unknown or has_file or asked.options or asked.commands)

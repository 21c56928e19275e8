"""From loaded to ready: the options that keep requests from leaking, and where we listen."""

import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence

from mitmproxy import ctx, exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Address
from mitmproxy.master import Master
from mitmproxy.proxy import mode_specs
from mitmproxy.utils import human

from backends.keys import Key
from backends.vendors.registry import ConfiguredBackends
from commands.config.model import Config
from commands.config.values import is_loopback

logger = logging.getLogger(__name__)

CLIENT_KEY_NAME = "LLM_INTERACTIVE_PROXY_API_KEY"

# Modes whose clients can show the client key as a proxy password, or have a key of their own. All
# others would let in anybody.
MODES_WITH_A_DOOR = (mode_specs.RegularMode, mode_specs.UpstreamMode, mode_specs.WireGuardMode)
MODES_OF_THIS_MACHINE = (mode_specs.LocalMode, mode_specs.TunMode)

# mitmweb's own, with the comment, which tells most of a flow, in the place of the method.
WEB_COLUMNS = ["icon", "path", "comment", "status", "size", "time"]


def set_options(settings: Config) -> None:
    """Options of mitmproxy that we depend on, or whose default is wrong for us.

    What the user gave on mitmproxy's command line stays, except for those without which the
    original host would be contacted before we have decided.
    """
    options = ctx.options
    # eager would dial the original host at CONNECT; upstream_cert would fetch its certificate.
    # rawtcp would pass a decrypted connection on to it that does not begin like HTTP: behind an
    # empty line, or with few bytes at first, that may be a prompt.
    options.update(connection_strategy="lazy", upstream_cert=False, rawtcp=False)
    if "onboarding" in options:
        options.update(onboarding=False)
    if not options.allow_hosts and not options.ignore_hosts:
        options.update(allow_hosts=_listed(settings))
    if not options.listen_host:
        options.update(listen_host=settings.host)
    if options.listen_port is None:
        options.update(listen_port=settings.port)
    if "web_columns" in options and not options.has_changed("web_columns"):
        options.update(web_columns=WEB_COLUMNS)


def opens_listed_only(settings: Config) -> bool:
    """Whether no other TLS is decrypted than that of the listed hosts."""
    return list(ctx.options.allow_hosts) == _listed(settings)


def _listed(settings: Config) -> list[str]:
    """What decides whose TLS is decrypted; every other host is tunnelled untouched."""
    names = (host.replace(".", "[.]") for host in settings.intercept_hosts)
    return [rf"^{name}[.]?:\d+$" for name in names]


def is_exposed(client_key: Key | None, is_running: bool) -> bool:
    """Whether we listen on more than loopback.

    OptionsError if that may not be: mitmproxy takes the option back. SystemExit at the start.
    """
    modes = [
        mode
        for mode in map(mode_specs.ProxyMode.parse, ctx.options.mode)
        if not isinstance(mode, MODES_OF_THIS_MACHINE)
        and not is_loopback(mode.listen_host(ctx.options.listen_host))
    ]
    for mode in modes:
        what = f"mode {mode.full_spec}: only allowed when listening on loopback (127.0.0.1)"
        if client_key is None:
            reason = f"{what}, because of disable_auth"
        elif not isinstance(mode, MODES_WITH_A_DOOR):
            reason = f"{what}: its clients cannot show the client key"
        else:
            continue
        raise exceptions.OptionsError(reason) if is_running else SystemExit(reason)
    return bool(modes)


def keeps_flows() -> bool:
    """Whether flows are shown or saved when they are over: then more is worth keeping in them."""
    savers = (name for name in ("save_stream_file", "hardump") if name in ctx.options)
    return shows_flows() or any(getattr(ctx.options, name) for name in savers)


def shows_flows() -> bool:
    """Whether flows are shown while they run."""
    return ctx.master.addons.get("view") is not None


async def start(
    settings: Config,
    configured: ConfiguredBackends,
    client_key: Key | None,
    *,
    warnings: Iterable[str | None],
    hint: Callable[[str, str | None], str] | None,
) -> Address:
    """Listen, and log that the proxy is ready. Returns the first address.

    `hint` makes further lines from the base URL and the client key as a shell reads it.
    """
    address, *_ = await listen()
    for warning in filter(None, warnings):
        logger.warning("%s", warning)
    announce(address, settings, configured, client_key, hint)
    return address


async def listen() -> Sequence[Address]:
    """Make mitmproxy listen where its options say; returns the addresses it listens on.

    With `mitmdump -s` the server is opened before the script is loaded, on mitmproxy's own default
    address, so it has to move. Raises SystemExit if it cannot.
    """
    server: Proxyserver = ctx.master.addons.get("proxyserver")
    host, port = ctx.options.listen_host, ctx.options.listen_port
    for instance in server.servers:
        is_default = instance.mode.custom_listen_port is None
        is_there = any(at[0] == host and port in (0, at[1]) for at in instance.listen_addrs)
        if is_default and not is_there:
            await server.servers.update([])
            if not await server.setup_servers():
                raise SystemExit(1)  # mitmproxy has logged the reason
            break
    return server.listen_addrs()


def local_url(address: Address) -> str:
    """How programs on this machine reach what listens on `address`."""
    ip = ipaddress.ip_address(address[0])
    host = ("127.0.0.1" if ip.version == 4 else "::1") if ip.is_unspecified else str(ip)
    return f"http://{f'[{host}]' if ':' in host else host}:{address[1]}"


def announce(
    address: Address,
    settings: Config,
    upstreams: ConfiguredBackends,
    client_key: Key | None,
    hint: Callable[[str, str | None], str] | None,
) -> None:
    """Say that the proxy is ready, and how to use it. A generated key is printed, never logged."""
    url = f"http://{human.format_address(address)}"
    offer = ", ".join(f"{name} (keys: {len(keys)})" for name, keys in upstreams.keys.items())
    logger.info(
        "LLM proxy ready: HTTPS_PROXY=%s or base URL %s/v1; backends: %s",
        url,
        url,
        offer or "none, set OPENROUTER_API_KEY or GEMINI_API_KEY",
    )
    shown = f"${CLIENT_KEY_NAME}" if client_key else None
    if client_key and settings.client_key is None:
        shown = client_key.value
        print(
            f"Client key of this run: {shown}\n(set {CLIENT_KEY_NAME} to choose one)\n", flush=True
        )
    if hint:
        print(hint(f"{url}/v1", shown), flush=True)


def add_to(master: Master, addon: object) -> None:
    """Put the addon where mitmproxy puts scripts: before the layers are chosen and flows saved."""
    manager = master.addons
    manager.register(addon)
    at = manager.chain.index(manager.get("nextlayer"))
    # A new list: mitmproxy may be walking along the old one.
    manager.chain = [*manager.chain[:at], addon, *manager.chain[at:]]

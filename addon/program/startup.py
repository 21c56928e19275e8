"""Startup: mitmproxy's options that keep requests from leaking, the listener, the ready message."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mitmproxy import ctx, exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.certs import Cert, CertStore
from mitmproxy.connection import Address
from mitmproxy.master import Master
from mitmproxy.options import CONF_BASENAME
from mitmproxy.proxy import mode_specs
from mitmproxy.utils import human

from addon.program.product import CLIENT_KEY_NAME
from backends.keys import Key
from backends.model_id import BackendName
from backends.vendors.registry import KEY_VARIABLES, ConfiguredBackends
from commands.config.model import Config
from commands.config.values import is_loopback

logger = logging.getLogger(__name__)

# Clients of these modes send the client key as a proxy password, or have a key of their own. All
# other modes would admit anyone.
AUTHENTICATED_MODES = (mode_specs.RegularMode, mode_specs.UpstreamMode, mode_specs.WireGuardMode)
LOCAL_MODES = (mode_specs.LocalMode, mode_specs.TunMode)

# mitmweb's default with the comment, which summarizes a flow, instead of the method.
WEB_COLUMNS = ["icon", "path", "comment", "status", "size", "time"]


def set_options(settings: Config) -> None:
    """Set the options of mitmproxy that the addon needs.

    The user's options stay, except those that would contact the original host before the addon has
    decided about a request.
    """
    options = ctx.options
    # eager connects to the original host at CONNECT; upstream_cert fetches its certificate. rawtcp
    # forwards a decrypted connection that does not start like HTTP: it may be a prompt after an
    # empty line, or one whose first packet is short.
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
    """Whether only TLS of the listed hosts is decrypted."""
    return list(ctx.options.allow_hosts) == _listed(settings)


def _listed(settings: Config) -> list[str]:
    """Patterns of the hosts to decrypt; connections to all others are tunnelled untouched."""
    names = (host.replace(".", "[.]") for host in settings.intercept_hosts)
    return [rf"^{name}[.]?:\d+$" for name in names]


def is_exposed(client_key: Key | None, is_running: bool) -> bool:
    """Whether the proxy listens on more than loopback.

    If it must not, raises SystemExit at the start and OptionsError later, when mitmproxy restores
    the option.
    """
    modes = [
        mode
        for mode in map(mode_specs.ProxyMode.parse, ctx.options.mode)
        if not isinstance(mode, LOCAL_MODES)
        and not is_loopback(mode.listen_host(ctx.options.listen_host))
    ]
    for mode in modes:
        rule = f"mode {mode.full_spec}: only allowed when listening on loopback (127.0.0.1)"
        if client_key is None:
            reason = f"{rule}, because of disable_auth"
        elif not isinstance(mode, AUTHENTICATED_MODES):
            reason = f"{rule}: its clients cannot show the client key"
        else:
            continue
        raise exceptions.OptionsError(reason) if is_running else SystemExit(reason)
    return bool(modes)


def check_ca() -> None:
    """Create mitmproxy's CA if there is none. Raises SystemExit if it is not usable.

    mitmproxy does this only after the proxy listens.
    """
    folder = Path(ctx.options.confdir).expanduser()
    file = folder / f"{CONF_BASENAME}-ca.pem"
    try:
        if not file.exists():
            CertStore.create_store(folder, CONF_BASENAME, ctx.options.key_size)
        Cert.from_pem(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SystemExit(f"{file}: cannot read or create the CA: {reason}") from None


def keeps_flows() -> bool:
    """Whether finished flows are shown or saved, so that bodies are worth keeping in them."""
    savers = (name for name in ("save_stream_file", "hardump") if name in ctx.options)
    return shows_flows() or any(getattr(ctx.options, name) for name in savers)


def shows_flows() -> bool:
    """Whether a user interface shows running flows."""
    return ctx.master.addons.get("view") is not None


async def start(
    settings: Config,
    configured: ConfiguredBackends,
    client_key: Key | None,
    *,
    default_backend: BackendName,
    warnings: Iterable[str | None],
    hint: Callable[[str, str | None], str] | None,
) -> Address:
    """Listen, and log that the proxy is ready. Returns the first address.

    `hint` returns further lines to print; its arguments are the base URL and the client key as
    shell text.
    """
    address, *_ = await listen()
    for warning in filter(None, warnings):
        logger.warning("%s", warning)
    announce(address, settings, configured, client_key, hint)
    if len(settings.api_keys) > 1 and not settings.default_backend:
        logger.info(
            "Models that no other rule finds go to %s; --default-backend or LLM_BACKEND names "
            "another backend",
            default_backend,
        )
    return address


async def listen() -> Sequence[Address]:
    """Listen where mitmproxy's options say. Returns the addresses.

    `mitmdump -s` opens the server on mitmproxy's default address before it loads the script, so the
    server has to move. Raises SystemExit if it cannot.
    """
    server: Proxyserver = ctx.master.addons.get("proxyserver")
    host, port = ctx.options.listen_host, ctx.options.listen_port
    for instance in server.servers:
        is_default = instance.mode.custom_listen_port is None
        is_there = any(
            address[0] == host and port in (0, address[1]) for address in instance.listen_addrs
        )
        if is_default and not is_there:
            await server.servers.update([])
            if not await server.setup_servers():
                raise SystemExit(1)  # mitmproxy has logged the reason
            break
    return server.listen_addrs()


def announce(
    address: Address,
    settings: Config,
    upstreams: ConfiguredBackends,
    client_key: Key | None,
    hint: Callable[[str, str | None], str] | None,
) -> None:
    """Log that the proxy is ready. Print a generated client key, which is never logged."""
    url = f"http://{human.format_address(address)}"
    backends = ", ".join(f"{name} (keys: {len(keys)})" for name, keys in upstreams.keys.items())
    logger.info(
        "LLM proxy ready: HTTPS_PROXY=%s or base URL %s/v1; backends: %s",
        url,
        url,
        backends or f"none, set {KEY_VARIABLES}",
    )
    key_text = f"${CLIENT_KEY_NAME}" if client_key else None
    if client_key and settings.client_key is None:
        key_text = client_key.value
        print(
            f"Client key of this run: {key_text}\n(set {CLIENT_KEY_NAME} to choose one)\n",
            flush=True,
        )
    if hint:
        print(hint(f"{url}/v1", key_text), flush=True)


def add_to(master: Master, addon: object) -> None:
    """Add the addon at the position of scripts: before layers are chosen and flows saved."""
    manager = master.addons
    manager.register(addon)
    index = manager.chain.index(manager.get("nextlayer"))
    # A new list, because mitmproxy may be iterating over the old one.
    manager.chain = [*manager.chain[:index], addon, *manager.chain[index:]]

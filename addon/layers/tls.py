"""Upstream TLS by asyncio, with the same checks as mitmproxy's own TLS for the same options."""

import os
import ssl
from functools import lru_cache

import certifi
from mitmproxy import ctx
from mitmproxy.addonmanager import traverse
from mitmproxy.addons import tlsconfig
from mitmproxy.net import tls
from mitmproxy.options import Options

ALPN = "http/1.1"
UNBOUNDED = tls.Version.UNBOUNDED


def can_use_asyncio_tls() -> bool:
    """Whether asyncio TLS is enough: no client certificates, no script with `tls_start_server`."""
    addons = traverse(ctx.master.addons.chain)
    hooked = [each for each in addons if hasattr(each, "tls_start_server")]
    return not ctx.options.client_certs and all(
        isinstance(each, tlsconfig.TlsConfig) for each in hooked
    )


def client_context(options: Options) -> ssl.SSLContext:
    """A context that verifies as `TlsConfig.tls_start_server` does; cached by the options."""
    return _context(
        options.ssl_verify_upstream_trusted_ca,
        options.ssl_verify_upstream_trusted_confdir,
        options.ssl_insecure,
        tls.Version[options.tls_version_server_min],
        tls.Version[options.tls_version_server_max],
        options.ciphers_server,
        options.tls_ecdh_curve_server,
    )


@lru_cache(8)
def _context(
    ca_file: str | None,
    ca_folder: str | None,
    is_insecure: bool,
    lowest: tls.Version,
    highest: tls.Version,
    ciphers: str | None,
    curve: str | None,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    context.set_ciphers(ciphers or ":".join(tlsconfig._default_ciphers(lowest)))
    if lowest is not UNBOUNDED:
        context.minimum_version = ssl.TLSVersion(lowest.value)
    else:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    if highest is not UNBOUNDED:
        context.maximum_version = ssl.TLSVersion(highest.value)
    if curve:
        context.set_ecdh_curve(curve)
    if ca_file is None and ca_folder is None:
        ca_file = certifi.where()
    context.load_verify_locations(ca_file, ca_folder)
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.options |= ssl.OP_LEGACY_SERVER_CONNECT
    context.set_alpn_protocols([ALPN])
    if key_log := os.environ.get("MITMPROXY_SSLKEYLOGFILE") or os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = os.path.expanduser(key_log)
    return context

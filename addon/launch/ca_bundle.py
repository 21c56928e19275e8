"""Makes the certificate bundle with which agents trust mitmproxy's CA and all other CAs."""

import os
import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import certifi
from mitmproxy.options import CONF_BASENAME, CONF_DIR, KEY_SIZE

from addon.launch.agents import CA_VARIABLES
from commands.config.levels import ConfigError

CONFDIR = Path(CONF_DIR).expanduser()
CERTIFICATE = CONFDIR / f"{CONF_BASENAME}-ca-cert.pem"
BUNDLE = CONFDIR / "llm-proxy-ca-bundle.pem"

# Bundles of trusted certificates on common systems.
SYSTEM_FILES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def prepare(environ: Mapping[str, str]) -> None:
    """Write the bundle: mitmproxy's CA after everything that `environ` and the system trust.

    SSL_CERT_FILE replaces the system's certificates, so the bundle has to repeat them. Creates the
    CA if there is none, as mitmproxy does at its first start. Raises ConfigError.
    """
    try:
        _prepare(environ)
    except OSError as error:
        raise ConfigError(f"{BUNDLE}: cannot write the certificates: {error.strerror}") from None


def _prepare(environ: Mapping[str, str]) -> None:
    if not CERTIFICATE.exists():
        from mitmproxy.certs import CertStore  # slow to import, and needed once

        CertStore.from_store(CONFDIR, CONF_BASENAME, KEY_SIZE)
    named = (Path(environ[name]) for name in CA_VARIABLES if environ.get(name))
    files = [path for path in named if path != BUNDLE]
    files += [*SYSTEM_FILES, Path(certifi.where()), CERTIFICATE]
    in_windows = ssl.create_default_context().get_ca_certs(binary_form=True)
    trusted = dict.fromkeys([*in_windows, *certificates_in(files)])
    with tempfile.NamedTemporaryFile("w", dir=CONFDIR, delete=False) as file:
        file.writelines(map(ssl.DER_cert_to_PEM_cert, trusted))
    os.replace(file.name, BUNDLE)


def certificates_in(files: Iterable[Path]) -> Iterator[bytes]:
    """The certificates in PEM files, as DER. Skips unreadable files."""
    for path in files:
        with suppress(OSError, ValueError):
            for block in _BLOCK.findall(path.read_text("utf-8", "replace")):
                yield ssl.PEM_cert_to_DER_cert(block)


def holds_ca(files: Iterable[Path]) -> bool:
    """Whether one of the files holds mitmproxy's CA certificate."""
    return not set(certificates_in([CERTIFICATE])).isdisjoint(certificates_in(files))

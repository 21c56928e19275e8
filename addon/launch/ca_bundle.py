"""mitmproxy's CA, and the file of certificates that makes programs trust it beside all others."""

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

CONFDIR = Path(CONF_DIR).expanduser()
CERTIFICATE = CONFDIR / f"{CONF_BASENAME}-ca-cert.pem"
BUNDLE = CONFDIR / "llm-proxy-ca-bundle.pem"

# Where systems keep what they trust, in one file.
SYSTEM_FILES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def prepare(environ: Mapping[str, str]) -> None:
    """Write the bundle: our CA behind all that `environ` and the system trust without it.

    Without that, SSL_CERT_FILE would put our CA in the place of the system's. If there is no CA yet
    it is made, just as mitmproxy does at its first start.
    """
    if not CERTIFICATE.exists():
        from mitmproxy.certs import CertStore  # only here: it is needed once in a lifetime

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
    """The certificates in files of PEM, each as DER; what cannot be read holds none."""
    for path in files:
        with suppress(OSError, ValueError):
            for block in _BLOCK.findall(path.read_text("utf-8", "replace")):
                yield ssl.PEM_cert_to_DER_cert(block)


def holds_ca(files: Iterable[Path]) -> bool:
    """Whether our CA's certificate is in one of these files."""
    return not set(certificates_in([CERTIFICATE])).isdisjoint(certificates_in(files))

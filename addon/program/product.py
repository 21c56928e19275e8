"""The product's name and version, and how programs on this machine reach a running proxy."""

import ipaddress
from importlib.metadata import version

from commands.config.model import CONFIG_FIELDS

PRODUCT = "llm-interactive-proxy"
VERSION = version(PRODUCT)
CLIENT_KEY_NAME = {setting.name: setting.env or "" for setting in CONFIG_FIELDS}["client_key"]
"""The environment variable of the client key."""


def local_url(ip: str, port: int) -> str:
    """The URL on this machine of a proxy that listens on `ip`, which may be any address."""
    address = ipaddress.ip_address(ip)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}"

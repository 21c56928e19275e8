"""Normalizes names before they are compared: hosts, origins, addresses, paths."""

import contextlib
import ipaddress
import re
from urllib.parse import unquote, urlsplit

from mitmproxy.net.http import url

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_IS_ODD = re.compile(r"[%;\\]|//|/\.")
_END_OF_PATH = re.compile(r"[?#]")
_BLANK = "".join(map(chr, range(0x21)))


def host_name(text: str) -> str:
    """The form that DNS compares: lower case, ASCII, without the trailing dot.

    Resolvers map some dots and letters of other scripts to ASCII; so does this.
    """
    if not text.isascii():
        with contextlib.suppress(UnicodeError):  # else no resolver accepts it
            text = text.encode("idna").decode()
    return text.lower().removesuffix(".")


def authority(text: str, scheme: str) -> tuple[str, int | None]:
    """Host and port of a Host header; the default port is the scheme's."""
    host, port = url.parse_authority(text, check=False)
    return host_name(host), port or url.default_port(scheme)


def origin(text: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a browser's origin; the scheme is empty if it is invalid."""
    try:
        parts = urlsplit(text)
        port = parts.port or url.default_port(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, host_name(parts.hostname or ""), port


def ip_address(text: str) -> IpAddress | None:
    """The IP address in a text, None for a name. A mapped IPv4 address becomes IPv4."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None) or ip


def path(raw: str) -> str:
    """The path of a request target as a lenient server may read it.

    Decodes percent codes twice, because a server may sit behind another. Removes the query,
    parameters, dot segments, empty segments and a trailing slash. Keeps upper and lower case.
    """
    text = _END_OF_PATH.split(raw, maxsplit=1)[0]
    if _IS_ODD.search(text):
        segments: list[str] = []
        for each in unquote(unquote(text)).replace("\\", "/").split("/"):
            segment = each.partition(";")[0].strip(_BLANK)
            if segment == "..":
                del segments[-1:]
            elif segment not in {"", "."}:
                segments.append(segment)
        text = "/" + "/".join(segments)
    return text.rstrip("/") or "/"

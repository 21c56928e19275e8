"""Checks requests of browsers: which web pages may use the proxy.

Any page can send requests to loopback addresses, so any page could use its reader's proxy. With DNS
rebinding the page's own host name resolves to the proxy. The browser then sees one origin, and only
the Host header shows the attack.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from addon.endpoints import names
from backends.errors import ApiError
from commands.config.model import Config

# Headers that only browsers send. Node's fetch sends `sec-fetch-mode` everywhere.
MARKS = ("origin", "sec-fetch-site", "sec-fetch-dest")


PREFLIGHT_FIELDS = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "*, authorization",
    "access-control-max-age": "600",
}


@dataclass(frozen=True, slots=True)
class Browsers:
    """The rules, as configured."""

    hosts: Collection[str]
    """The proxy's host names besides localhost and IP addresses."""
    origins: Collection[str]
    """Origins of other sites that are allowed."""
    is_keyless: bool
    """Clients need no key. The Host header is then checked for every request."""

    @classmethod
    def of(cls, settings: Config) -> Self:
        hosts = {names.host_name(settings.host), *settings.allowed_hosts}
        return cls(hosts, settings.allowed_origins, settings.disable_auth)

    def check(
        self, scheme: str, host: str | None, headers: Mapping[str, str], *, is_to_us: bool
    ) -> str | None:
        """Return the browser origin of a request, or None. Raises ApiError (403).

        `scheme` and `host` (the Host header) name the proxy (`is_to_us`) or the host that the
        client addresses. `headers` have lower-case names.
        """
        origin = headers.get("origin")
        name, port = names.authority(host or "", scheme)
        is_strict = self.is_keyless or any(mark in headers for mark in MARKS)
        if is_to_us and is_strict and host is not None and not self._is_own(name):
            raise ApiError(
                403,
                f"Host {name} is not a name of this proxy (setting allowed_hosts)",
                param="host",
            )
        if origin in self.origins:
            return origin
        if origin is not None and names.origin(origin) != (scheme, name, port):
            raise ApiError(
                403,
                f"Browser origin {origin} is not allowed (setting allowed_origins)",
                param="origin",
            )
        if headers.get("sec-fetch-site") == "cross-site":
            raise ApiError(
                403,
                "Requests of other web sites are not allowed (setting allowed_origins)",
                param="origin",
            )
        return origin

    def _is_own(self, name: str) -> bool:
        return name == "localhost" or name in self.hosts or names.ip_address(name) is not None

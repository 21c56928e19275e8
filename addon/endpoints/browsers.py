"""Which web pages may use the proxy.

Any page can send requests to loopback addresses, so without these rules any page could use the
proxy of whoever looks at it. By DNS rebinding a page's own host name leads here, too: then its
requests are of the same origin as far as its browser knows, and only their Host tells.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from addon.endpoints import names
from backends.errors import ApiError
from commands.config.model import Config

# What browsers alone send. Node's fetch has `sec-fetch-mode`, wherever it runs.
MARKS = ("origin", "sec-fetch-site", "sec-fetch-dest")


PREFLIGHT_FIELDS = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "*, authorization",
    "access-control-max-age": "600",
}


@dataclass(frozen=True, slots=True)
class Browsers:
    """`hosts` are the proxy's names beside localhost and IP addresses; `origins` are welcome.

    `is_keyless`: nobody has to show a key, so that the Host has to be right in any case.
    """

    hosts: Collection[str]
    origins: Collection[str]
    is_keyless: bool

    @classmethod
    def of(cls, settings: Config) -> Self:
        hosts = {names.host_name(settings.host), *settings.allowed_hosts}
        return cls(hosts, settings.allowed_origins, settings.disable_auth)

    def check(
        self, scheme: str, host: str | None, headers: Mapping[str, str], *, is_to_us: bool
    ) -> str | None:
        """The browser origin of a request, if any; ApiError 403 if it may not be served.

        `scheme` and `host` are how the client addresses us (`is_to_us`) or the host that it
        believes to talk to; `headers` have their names in lower case.
        """
        origin = headers.get("origin")
        name, port = names.authority(host or "", scheme)
        is_strict = self.is_keyless or any(mark in headers for mark in MARKS)
        if is_to_us and is_strict and host is not None and not self._is_own(name):
            raise ApiError(
                403, f"Host {name} is no name of this proxy (setting allowed_hosts)", param="host"
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

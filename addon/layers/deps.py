"""What the layers need from the addon, and the event that tells a stream the time."""

from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.proxy import events

from addon.exchange import request_body
from addon.exchange.credentials import ClientCredentials
from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import ResponseBuilder
from addon.layers.pool import Pool
from backends.errors import ApiError


@dataclass(frozen=True, slots=True)
class LayerDeps:
    """Callbacks, limits and timeouts of all layers."""

    exchange_of: Callable[[str], Exchange | None]
    """The exchange of a flow by its id; None if the flow is not claimed."""
    credentials_of: Callable[[str], ClientCredentials | None]
    """The client's credentials for a flow that passes through, by the flow's id."""
    responses: ResponseBuilder
    on_progress: Callable[[http.HTTPFlow, Exchange, bytearray], None]
    """Called now and then with a running flow, its exchange and what its client has received."""
    pool: Pool
    connect_timeout_s: float
    """For TCP and TLS together."""
    read_timeout_s: float
    """Without a byte from the upstream; an exchange's upstream may have another."""
    keepalive_s: float
    """Without a byte to the client of a stream, before it gets a comment."""
    max_body_bytes: int
    max_connections: int
    """In use at a time for one client connection to the same upstream."""

    @property
    def tick_s(self) -> float:
        """The interval of ticks: a second, or less if a timeout is short."""
        return min(1.0, min(self.connect_timeout_s, self.read_timeout_s, self.keepalive_s) / 4)

    def connect_error(self, title: str, reason: str, waited_s: float) -> ApiError:
        """The error for an upstream that could not be connected."""
        if waited_s >= self.connect_timeout_s:
            limit = f"{self.connect_timeout_s:g} s (setting connect_timeout)"
            return ApiError(504, f"Cannot connect to {title} within {limit}")
        return ApiError(502, f"Cannot connect to {title}: {reason}")

    def timeout_error(self, title: str, limit_s: float, *, is_waiting: bool) -> ApiError:
        """The error for a silent upstream. `is_waiting`: it has not sent a response head."""
        what = "did not answer" if is_waiting else "sent nothing"
        return ApiError(504, f"{title} {what} for {limit_s:g} s (setting timeout)")

    def too_large(self) -> ApiError:
        """The error for a request body over the limit."""
        return request_body.too_large(self.max_body_bytes)


@dataclass
class Tick(events.Event):
    """Time has passed."""

    now: float
    """Monotonic."""
    excuses_upstream: bool = False
    """The upstream's silence is ours: the client takes nothing, or the proxy stood still."""

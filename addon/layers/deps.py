"""What the layers know of the addon, and the event that tells them that time has passed."""

from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.proxy import events

from addon.exchange import request_body
from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import Answers
from addon.layers.pool import Pool
from backends.errors import ApiError


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds.

    `connect_s`: for TCP and TLS together. `silence_s`: without a byte from the upstream.
    `keep_alive_s`: without a byte to the client of a stream.
    `find` gives the exchange of a claimed flow by the flow's id. `show` is told now and then
    of a flow that is at work, with what its client has got. `max_connections` to the same upstream
    may be in use for one client connection.
    """

    find: Callable[[str], Exchange | None]
    answers: Answers
    show: Callable[[http.HTTPFlow, Exchange, bytearray], None]
    pool: Pool
    connect_s: float
    silence_s: float
    keep_alive_s: float
    max_body_bytes: int
    max_connections: int

    @property
    def tick_s(self) -> float:
        """How often to look: fine enough for the shortest of these times, else each second."""
        return min(1.0, min(self.connect_s, self.silence_s, self.keep_alive_s) / 4)

    def not_connected(self, title: str, reason: str, waited_s: float) -> ApiError:
        """For an upstream that was not to be had in so long a time."""
        if waited_s >= self.connect_s:
            limit = f"{self.connect_s:g} s (setting connect_timeout)"
            return ApiError(504, f"Cannot connect to {title} within {limit}")
        return ApiError(502, f"Cannot connect to {title}: {reason}")

    def silent(self, title: str, limit_s: float, *, is_waiting: bool) -> ApiError:
        """For an upstream that has said nothing, or nothing more, for so long."""
        what = "did not answer" if is_waiting else "sent nothing"
        return ApiError(504, f"{title} {what} for {limit_s:g} s (setting timeout)")

    def too_large(self) -> ApiError:
        """For a body over the limit."""
        return request_body.too_large(self.max_body_bytes)


@dataclass
class Tick(events.Event):
    """Time has passed; `now` is monotonic."""

    now: float

"""Translates the body of an upstream's stream while it arrives."""

import logging
from collections.abc import Callable

from addon.exchange.content_coding import StreamDecoder, TooLarge
from addon.exchange.exchange import Exchange
from backends.errors import INTERRUPTS, ApiError, internal_error

logger = logging.getLogger(__name__)


class BodyStream:
    """The callable for `flow.response.stream`: decodes the body and feeds the pipe.

    mitmproxy calls it for each piece of the body, and with b"" at the end. It must not raise, nor
    return an empty piece, which would end a chunked body.
    """

    def __init__(
        self,
        exchange: Exchange,
        content_encoding: str,
        max_bytes: int,
        scrub: Callable[[bytes], bytes],
        write_error: Callable[[Exchange, ApiError], bytes],
    ) -> None:
        assert exchange.upstream
        assert exchange.pipe
        assert exchange.encoder
        self._exchange = exchange
        self._pipe = exchange.pipe
        self._title = exchange.upstream.title
        self._decoder = StreamDecoder(content_encoding, max_bytes)
        self._max_bytes = max_bytes
        # The last event of other dialects repeats the response, so they have to hold all of it.
        self._room = None if exchange.encoder.is_identity else max_bytes
        self._scrub = scrub
        self._write_error = write_error

    def __call__(self, data: bytes) -> list[bytes]:
        """`read`, with the error event at the end."""
        had_ended = self._pipe.has_ended
        pieces = self.read(data)
        error = self._exchange.outcome.error
        return (
            [*pieces, self._write_error(self._exchange, error)]
            if error and not had_ended
            else pieces
        )

    def read(self, data: bytes) -> list[bytes]:
        """The events for the client, without secrets; an error is only put into the outcome."""
        try:
            if data:
                data = self._decoder.feed(data)
                self._exchange.capture(data)
                self._bound(data)
                pieces = self._pipe.feed(data)
            else:
                pieces = self._pipe.finish()
            return list(map(self._scrub, pieces))
        except ValueError as error:
            logger.warning("%s sent a stream that cannot be read: %s", self._title, error)
            message = f"{self._title} sent a stream that cannot be read: {error}"
            self._pipe.fail(ApiError(502, message))
        except INTERRUPTS:
            raise
        except BaseException:
            logger.exception("Internal error in a stream")
            self._pipe.fail(internal_error())
        return []

    def _bound(self, data: bytes) -> None:
        if self._room is not None:
            self._room -= len(data)
            if self._room < 0:
                limit = f"{self._max_bytes / 2**20:g} MiB (setting max_body_mib)"
                raise TooLarge(f"it has more than {limit}")

"""Claimed flows by hooks alone, for a mitmproxy whose private API is not what the layers need.

Prompts are answered, whole and streamed. What is missing is what hooks cannot do: failover,
time-outs, comments for a waiting client, and errors of OpenAI's shape in place of mitmproxy's.
"""

from mitmproxy import http

from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import ResponseBuilder
from backends.errors import ApiError


def add_credential(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Put the credential into the flow; `hide_credential` has to follow in any case."""
    credential = exchange.upstream and exchange.upstream.call.request.credential
    if credential:
        flow.request.headers[credential[0]] = credential[1]


def hide_credential(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Put the key's name in the place of the credential, before anything shows or saves it."""
    credential = exchange.upstream and exchange.upstream.call.request.credential
    if credential and exchange.upstream:
        flow.request.headers[credential[0]] = f"({exchange.upstream.key_name})"


def read_complete(flow: http.HTTPFlow, exchange: Exchange, responses: ResponseBuilder) -> None:
    """Make of an upstream's whole answer what the client gets."""
    if exchange.upstream is None or flow.response is None or flow.response.stream:
        return
    try:
        flow.response = responses.complete(exchange, flow.response)
    except ApiError as error:
        exchange.outcome.error = error
        flow.response = responses.error(error, exchange)

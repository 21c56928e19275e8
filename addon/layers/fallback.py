"""Serves claimed flows by hooks alone, for a mitmproxy that lacks the API that the layers need.

Prompts work, streamed or not. Missing is what hooks cannot do: failover, timeouts, comments for a
waiting client, and upstream errors in OpenAI's shape.
"""

from mitmproxy import http

from addon.exchange.credentials import ClientCredentials
from addon.exchange.exchange import Exchange
from addon.exchange.http_responses import ResponseBuilder
from backends.errors import ApiError


def add_credential(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Put the credential into the flow; `hide_credential` must follow in every case."""
    credential = exchange.upstream and exchange.upstream.call.request.credential
    if credential:
        flow.request.headers[credential[0]] = credential[1]


def hide_credential(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Replace the credential by the key's name, before the flow is shown or saved."""
    credential = exchange.upstream and exchange.upstream.call.request.credential
    if credential and exchange.upstream:
        flow.request.headers[credential[0]] = f"({exchange.upstream.key_name})"


def hide_credentials(flow: http.HTTPFlow) -> None:
    """Hide the client's credentials in a flow that passed through and is over."""
    credentials = ClientCredentials.take(flow.request)
    # mitmproxy sends a response without a body only after its last hook.
    if flow.response and (flow.response.raw_content is None or flow.is_replay):
        credentials.take_response(flow.response)


def read_complete(flow: http.HTTPFlow, exchange: Exchange, responses: ResponseBuilder) -> None:
    """Translate an upstream's complete response for the client."""
    if exchange.upstream is None or flow.response is None or flow.response.stream:
        return
    try:
        flow.response = responses.complete(exchange, flow.response)
    except ApiError as error:
        exchange.outcome.error = error
        flow.response = responses.error(error, exchange)

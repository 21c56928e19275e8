"""Refreshes a running flow in mitmweb and in mitmproxy's console."""

import time

from mitmproxy import ctx, http
from mitmproxy.hooks import UpdateHook
from mitmproxy.utils import asyncio_utils

from addon.exchange.exchange import Exchange
from addon.inspect import annotate


def refresh(flow: http.HTTPFlow, exchange: Exchange, sent: bytearray) -> None:
    """Show the elapsed time of a prompt and what its client has received so far."""
    if exchange.prompt and ctx.master.addons.get("view"):
        annotate.progress(flow, exchange, time.monotonic() - exchange.prompt.started)
        if sent and flow.response:
            flow.response.data.content = bytes(sent)
        update = ctx.master.addons.trigger_event(UpdateHook([flow]))
        asyncio_utils.create_task(update, name="llm-proxy progress", keep_ref=True)

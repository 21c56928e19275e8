"""The script of bare mitmdump: pass event streams on as they come.

Without it mitmproxy holds them back until they end (mitmproxy issue 4469).
"""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    assert flow.response
    content_type = flow.response.headers.get("content-type", "")
    flow.response.stream = content_type.startswith("text/event-stream")

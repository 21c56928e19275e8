"""Adapts mitmweb to long runs and long texts: a limit for its list of flows, and a style sheet."""

from typing import Any

from mitmproxy import ctx, http

STYLE = b"""<style>
.flow-table .col-comment { width: 45%; text-align: left !important }
.contentview pre { white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal }
.contentview pre div:empty { height: 1lh }
</style>"""


class FlowLimit:
    """Removes the oldest finished flows beyond `max_flows`, marked flows last.

    mitmweb and mitmproxy keep every flow indefinitely.
    """

    name = "llm_flow_limit"

    def __init__(self, max_flows: int) -> None:
        self._max_flows = max_flows

    def response(self, flow: http.HTTPFlow) -> None:
        view = ctx.master.addons.get("view")
        # Keep all flows of a file that is being loaded: the user wants to read them.
        if view is None or not flow.live:
            return
        if (excess := view.store_count() - self._max_flows) > 0:
            finished = [each for each in view.resolve("@all") if not each.live]
            finished.sort(key=lambda each: bool(each.marked))
            view.remove(finished[:excess])

    error = response


class WebStyle:
    """Adds `STYLE` to mitmweb's page: readable comments, wrapped lines, visible empty lines."""

    name = "llm_web_style"

    def running(self) -> None:
        if app := getattr(ctx.master, "app", None):
            from mitmproxy.tools.web.app import IndexHandler  # only loaded with a user interface

            class StyledIndex(IndexHandler):
                def render_string(self, *args: Any, **kwargs: Any) -> bytes:
                    page: bytes = super().render_string(*args, **kwargs)
                    return page.replace(b"</head>", STYLE + b"</head>")

            app.add_handlers(".*", [(r"/", StyledIndex)])

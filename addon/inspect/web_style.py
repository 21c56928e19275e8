"""A few lines of style for mitmweb, whose page is made for short comments and raw bodies."""

from typing import Any

from mitmproxy import ctx

STYLE = b"""<style>
.flow-table .col-comment { width: 45%; text-align: left !important }
.contentview pre { white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal }
.contentview pre div:empty { height: 1lh }
</style>"""


class WebStyle:
    """Comments can be read in the list, long lines wrap, and empty lines are seen."""

    name = "llm_web_style"

    def running(self) -> None:
        if app := getattr(ctx.master, "app", None):
            from mitmproxy.tools.web.app import IndexHandler  # a user interface, if there is one

            class StyledIndex(IndexHandler):
                def render_string(self, *args: Any, **kwargs: Any) -> bytes:
                    page: bytes = super().render_string(*args, **kwargs)
                    return page.replace(b"</head>", STYLE + b"</head>")

            app.add_handlers(".*", [(r"/", StyledIndex)])

"""Make the pictures of docs/inspect.md: the demo in mitmweb, after a short conversation.

Needs Chromium and a font that has emoji, for the marks.
"""

import tempfile
from pathlib import Path

from tests.mitmweb import converse, running_mitmweb

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
# By name: the flow's row, its side, the view, and a text to wait for.
MESSAGES = {
    "request": ("best", "Request", "auto", "Thanks"),
    "response": ("!/set", "Response", "auto", "read_file"),
    "upstream": ("best", "Response", "llm upstream", "candidates"),
}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        running_mitmweb(Path(name), Path(name)) as (web, client),
    ):
        converse(client)
        web.open()
        web.rows(4)
        web.browser.resize(1280, 320)
        web.browser.screenshot(IMAGES / "flows.png")
        web.browser.resize(1280, 720)
        for name, (row, side, view, text) in MESSAGES.items():
            web.show(row, side, view)
            web.expect(text)
            web.browser.screenshot(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()

"""Headless Chromium, steered over the DevTools protocol."""

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
from asyncio.subprocess import PIPE, Process
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--log-level=3",
    "--remote-debugging-port=0",
)
LISTENING = re.compile(rb"DevTools listening on ws://([^/]+)")
PATIENCE_S = 10

WAIT = """
new Promise(done => {
    const end = Date.now() + %d;
    (function look() {
        const value = %s;
        value || Date.now() > end ? done(value) : requestAnimationFrame(look);
    })();
})
"""
ACT = """
(found => found && (found.%s, true))(
    [...document.querySelectorAll(%s)].find(
        element => !element.disabled && element.textContent.includes(%s)
    )
)
"""
SELECT_ALL = {"type": "keyDown", "key": "a", "modifiers": 2, "commands": ["selectAll"]}
ENTER = {"type": "keyDown", "key": "Enter", "text": "\r"}


class Browser:
    """One page. What does not come in time is an AssertionError with the text of the page."""

    def __init__(self, runner: asyncio.Runner, page: WebSocketClientConnection) -> None:
        self._runner = runner
        self._page = page

    def open(self, url: str) -> None:
        """Load a page, even if only the fragment of its address is another."""
        self._call("Page.navigate", url="about:blank")
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or what its promise resolves to, as JSON has it."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, what: str = "") -> Any:
        """The value of a JavaScript expression, as soon as it is true."""
        value = self.evaluate(WAIT % (PATIENCE_S * 1000, condition))
        if not value:
            text = self.evaluate("document.body.innerText")
            raise AssertionError(f"waited {PATIENCE_S} s for {what or condition} on:\n{text}")
        return value

    def click(self, selector: str, text: str = "") -> None:
        """Click the first enabled element that a CSS selector finds and that has the text in it."""
        self._act(selector, text, "click()")

    def type(self, selector: str, text: str, *, enter: bool = False) -> None:
        """Replace what an input or editor holds."""
        self._act(selector, "", "focus()")
        self._call("Input.dispatchKeyEvent", **SELECT_ALL)
        self._call("Input.insertText", text=text)
        if enter:
            self._call("Input.dispatchKeyEvent", **ENTER)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height}
        self._call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path: Path) -> None:
        answer = self._call("Page.captureScreenshot", format="png")
        path.write_bytes(b64decode(answer["data"]))

    def _act(self, selector: str, text: str, action: str) -> None:
        script = ACT % (action, json.dumps(selector), json.dumps(text))
        self.wait_for(script, f"{selector} with the text {text!r}")

    def _call(self, method: str, **params: Any) -> Any:
        # We ask for no events and wait for each answer, so that what comes next is the answer.
        answer = self._runner.run(self._ask({"id": 1, "method": method, "params": params}))
        assert "result" in answer, f"{method}: {answer}"
        return answer["result"]

    async def _ask(self, call: dict[str, Any]) -> Any:
        async with asyncio.timeout(2 * PATIENCE_S):
            await self._page.write_message(json.dumps(call))
            message = await self._page.read_message()
        assert message is not None, "Chromium has ended"
        return json.loads(message)


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium with an empty profile, until the block ends."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        asyncio.Runner() as runner,
    ):
        chromium = runner.run(_start(profile))
        try:
            browser = Browser(runner, runner.run(_first_page(chromium)))
            browser.resize(1280, 800)
            yield browser
        finally:
            with contextlib.suppress(ProcessLookupError):
                chromium.terminate()
            runner.run(chromium.wait())


async def _start(profile: str) -> Process:
    assert CHROMIUM, "there is no Chromium"
    command = (CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank")
    return await asyncio.create_subprocess_exec(*command, stderr=PIPE)


async def _first_page(chromium: Process) -> WebSocketClientConnection:
    assert chromium.stderr
    async with asyncio.timeout(2 * PATIENCE_S):
        while not (found := LISTENING.search(await chromium.stderr.readline())):
            assert not chromium.stderr.at_eof(), "Chromium does not start"
        async with httpx.AsyncClient(trust_env=False) as client:
            targets = (await client.get(f"http://{found[1].decode()}/json/list")).json()
        page = next(target for target in targets if target["type"] == "page")
        return await websocket_connect(page["webSocketDebuggerUrl"])

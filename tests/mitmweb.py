"""mitmweb in front of the demo, as its user sees it in a browser."""

import contextlib
import json
import re
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai

from tests.browser import Browser, running_browser
from tests.harness import CLIENT_KEY
from tests.process import running_process

CONFIG_FIELDS = {
    "disable_interactive_mode": True,
    "failover_routes": {
        "best": {"policy": "m", "elements": ["openrouter:demo/error-503", "gemini:gemini-2.5-pro"]}
    },
}
READ_FILE: Any = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read the first lines of a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}},
            "required": ["path", "lines"],
        },
    },
}


class MitmWeb:
    """The page with the list of flows, one of which may be open beside it."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self._url = url

    def open(self, fragment: str = "") -> None:
        self.browser.open(self._url + fragment)
        self.browser.wait_for("document.querySelectorAll('th.col-comment').length")

    def rows(self, count: int) -> list[str]:
        """The texts of the flows in the list, as soon as there are so many."""
        rows = "[...document.querySelectorAll('tr.has-request')].map(row => row.innerText)"
        script = f"(rows => rows.length === {count} && rows)({rows})"
        return self.browser.wait_for(script, f"{count} flows in the list")

    def search(self, text: str) -> None:
        self.browser.type("input[placeholder=Search]", text)

    def intercept(self, text: str) -> None:
        self.browser.type("input[placeholder=Intercept]", text)

    def show(self, row: str, side: str, view: str = "auto") -> None:
        """Open the flow with this text in its row, at its Request or Response."""
        self.browser.click("tr.has-request", row)
        self.browser.click(".nav-tabs-sm a", side)
        self.browser.click(".contentview .controls a", "View:")
        self.browser.click(".dropdown-menu a", view)

    def expect(self, *texts: str) -> None:
        """Wait until the open message has these texts, in this order."""
        pattern = json.dumps("[^]*".join(map(re.escape, texts)))
        message = "document.querySelector('.contentview pre')?.innerText"
        self.browser.wait_for(f"RegExp({pattern}).test({message})", " ... ".join(texts))

    def edit(self, text: str) -> None:
        """Replace the open message."""
        self.browser.click(".contentview button", "Edit")
        self.browser.wait_for("document.querySelector('.cm-content')?.innerText.trim()")
        self.browser.type(".cm-content", text)


@contextlib.contextmanager
def running_mitmweb(directory: Path, confdir: Path) -> Iterator[tuple[MitmWeb, openai.OpenAI]]:
    """The demo in mitmweb, shown by a browser, and a client of the proxy."""
    port = _free_port()
    options = (
        f"confdir={confdir}",
        f"web_port={port}",
        f"web_password={CLIENT_KEY}",
        "web_open_browser=false",
    )
    command = [str(Path(sys.executable).with_name("llm-proxy")), "--demo=on", "--web", "--"]
    for option in options:
        command += ["--set", option]
    # mitmweb shows a port 0 as 8080.
    environ = {"PROXY_PORT": str(_free_port()), "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY}
    (directory / "proxy.yaml").write_text(json.dumps(CONFIG_FIELDS))
    with running_process(directory, command, environ) as process, running_browser() as browser:
        client = openai.OpenAI(
            api_key=CLIENT_KEY,
            base_url=f"{process.url}/v1",
            max_retries=0,
            timeout=20,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        yield MitmWeb(browser, f"http://127.0.0.1:{port}/?token={CLIENT_KEY}"), client


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def converse(client: openai.OpenAI) -> None:
    """A command and a tool call, the tool's result, a failover to Gemini, and a failure."""
    ask: Any = partial(client.chat.completions.create, tools=[READ_FILE])
    messages: list[Any] = [
        {"role": "system", "content": "You are a coding agent."},
        {"role": "user", "content": "!/set(project=demo) Which tool tells what main.py does?"},
    ]
    call = ask(model="openrouter:anthropic/claude-sonnet-4.5", messages=messages)
    messages.append(call.choices[0].message.model_dump(exclude_none=True))
    call_id = messages[-1]["tool_calls"][0]["id"]
    messages.append({"role": "tool", "tool_call_id": call_id, "content": "def main() -> None:"})
    answer = ask(model="openrouter:anthropic/claude-sonnet-4.5", messages=messages)
    messages.append(answer.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "user", "content": "Thanks. What is still missing?"})
    list(ask(model="best", messages=messages, stream=True))
    with contextlib.suppress(openai.APIStatusError):
        ask(model="openrouter:demo/error-402", messages=messages)

"""The proxy under test: the real addon on mitmproxy's real master, in a thread of this process."""

import asyncio
import contextlib
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import openai
from mitmproxy.addons.view import View
from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from addon.program import startup
from addon.proxy import LlmProxy
from commands.config import load
from tests.upstream import eventually

CLIENT_KEY = "client-key-for-tests"
UPSTREAM_KEY = "sk-or-v1-upstream-key-for-tests"
GEMINI_KEY = "AIza-upstream-key-for-tests"
ENVIRON = {
    "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY,
    "OPENROUTER_API_KEY": UPSTREAM_KEY,
    "GEMINI_API_KEY": GEMINI_KEY,
    "LLM_BACKEND": "openrouter",
}


# Without the banner, so that tests which are not about it see the answers as they are.
PLAIN = {"port": 0, "disable_interactive_mode": True}

_ONE_AT_A_TIME = threading.Lock()  # mitmproxy's context is global to the process


class OnlyHttp2(ssl.SSLContext):
    """Offers nothing else: httpx names HTTP/1.1 first, and mitmproxy takes the first it can."""

    def __new__(cls) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(["h2"])


class RunningProxy:
    """Where it listens, what trusts it, and clients for it."""

    def __init__(self, master: DumpMaster, addon: LlmProxy, confdir: Path) -> None:
        self.master = master
        self.addon = addon
        self.port: int = master.addons.get("proxyserver").listen_addrs()[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ca = confdir / "mitmproxy-ca-cert.pem"

    def command(self, name: str, *arguments: str) -> Any:
        """What mitmproxy's command bar would do."""

        async def call() -> Any:
            return self.master.commands.call_strings(name, arguments)

        return asyncio.run_coroutine_threadsafe(call(), self.master.event_loop).result(20)

    def add(self, addon: object) -> None:
        """Give mitmproxy one more addon, behind ours."""
        asyncio.run_coroutine_threadsafe(self._add(addon), self.master.event_loop).result(20)

    async def _add(self, addon: object) -> None:
        self.master.addons.add(addon)

    def forget_upstreams(self) -> None:
        """Close the connections that wait: one that is new is not replaced when it fails."""
        handlers = self.master.addons.get("proxyserver").connections
        assert eventually(lambda: not handlers)  # else one may still be given back
        pool = self.addon._layer_deps.pool
        self.master.event_loop.call_soon_threadsafe(pool.clear)

    @property
    def flows(self) -> list[HTTPFlow]:
        """What mitmweb would list; for a proxy `with_view`."""
        return list(self.command("view.flows.resolve", "@all"))

    def client(self, *, tunnel: bool = False, http2: bool = False, **options: Any) -> httpx.Client:
        """An HTTP client with the key; with `tunnel` it goes through us as an HTTPS proxy."""
        headers = {"authorization": f"Bearer {CLIENT_KEY}", **options.pop("headers", {})}
        if tunnel:
            verify = OnlyHttp2() if http2 else ssl.create_default_context()
            verify.load_verify_locations(self.ca)
            options = {"proxy": self.url, "verify": verify, **options}
        else:
            options |= {"base_url": self.url}
        return httpx.Client(headers=headers, http2=http2, trust_env=False, timeout=20, **options)

    def send_prompt(
        self, chat: dict[str, Any], *, session: str = "raw", version: str = "1.1"
    ) -> socket.socket:
        """A connection on which a prompt has been sent, and no answer read."""
        body = json.dumps(chat)
        head = (
            f"POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\n"
            f"authorization: Bearer {CLIENT_KEY}\r\nx-session-id: {session}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(f"{head}{body}".encode())
        return client

    def openai(self, *, tunnel: bool = False) -> openai.OpenAI:
        """The SDK, told to use us as base URL or as HTTPS proxy for api.openai.com."""
        verify = ssl.create_default_context(cafile=self.ca)
        proxy: dict[str, Any] = {"proxy": self.url, "verify": verify} if tunnel else {}
        return openai.OpenAI(
            api_key=CLIENT_KEY,
            base_url="https://api.openai.com/v1" if tunnel else f"{self.url}/v1",
            max_retries=0,
            timeout=20,
            http_client=openai.DefaultHttpxClient(trust_env=False, **proxy),
        )


@contextlib.contextmanager
def running_proxy(
    confdir: Path,
    *,
    environ: dict[str, str] | None = None,
    addon_class: type[LlmProxy] = LlmProxy,
    options: dict[str, object] | None = None,
    with_view: bool = False,
    **settings: object,
) -> Iterator[RunningProxy]:
    """A proxy with these settings (of `proxy.yaml`) and mitmproxy options, until the block ends.

    `with_view` it has the list of flows that mitmweb and mitmproxy have.
    """
    assert _ONE_AT_A_TIME.acquire(blocking=False), "a module with its own proxies has no fixture's"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "proxy.yaml")
        file.write_text(json.dumps(PLAIN | settings))
        given = ENVIRON if environ is None else environ
        loaded = load.load({"settings_file": str(file)}, given, None)
    addon = addon_class(loaded)
    started = threading.Event()
    masters: list[DumpMaster] = []

    class Started:
        def running(self) -> None:
            started.set()

    async def main() -> None:
        master = DumpMaster(
            Options(confdir=str(confdir), **(options or {})), with_termlog=False, with_dumper=False
        )
        if with_view:
            master.addons.add(View())
        startup.add_to(master, addon)
        master.addons.add(Started())
        masters.append(master)
        await master.run()

    thread = threading.Thread(target=asyncio.run, args=[main()])
    thread.start()
    try:
        assert started.wait(20), "the proxy did not start"
        proxy = RunningProxy(masters[0], addon, confdir)
        yield proxy
    finally:
        with contextlib.suppress(RuntimeError):  # if it has ended by itself
            masters[0].shutdown()
        thread.join(20)
        _ONE_AT_A_TIME.release()

"""The list of flows in mitmweb and mitmproxy is bounded."""

import threading
from pathlib import Path

from addon.demo.simulator import Gate, Wait, sse_answer
from tests.harness import running_proxy
from tests.upstream import TIMEOUT_S, UpstreamThread, eventually

CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}


def test_the_oldest_finished_flow_goes_and_marked_ones_last(
    confdir: Path, upstream: UpstreamThread
) -> None:
    url = upstream.simulator.openrouter_url
    gate = Gate()
    upstream.script(sse_answer(Wait(gate), {"choices": [{"index": 0, "delta": {}}]}))
    with (
        running_proxy(confdir, with_view=True, openrouter_api_base_url=url, max_flows=3) as proxy,
        proxy.client() as client,
    ):

        def ask(**chat: object) -> None:
            client.post("/v1/chat/completions", json=CHAT | chat)

        waiting = threading.Thread(target=ask, kwargs={"stream": True})
        waiting.start()
        assert gate.reached.wait(TIMEOUT_S)
        running = proxy.flows[0]
        ask(model="demo/error-401")
        failed = proxy.flows[1]
        assert failed.marked
        for _ in range(3):
            ask()
        assert eventually(lambda: len(proxy.flows) == 3)
        assert proxy.flows[:2] == [running, failed]
        newest = proxy.flows[2]
        proxy.command("flow.mark", f"@{newest.id}", ":star:")
        ask()
        assert eventually(lambda: len(proxy.flows) == 3)
        assert failed not in proxy.flows
        assert proxy.flows[:2] == [running, newest]
        gate.open()
        waiting.join()

"""Many streams at once, with time-outs that a busy machine does not reach."""

import concurrent.futures
from pathlib import Path

import openai

from addon.demo.simulator import Gate, Wait, sse_answer
from tests.e2e.test_chat import HELLO, chunk
from tests.harness import running_proxy
from tests.upstream import UpstreamThread


def test_two_hundred_streams_at_once(confdir: Path, upstream: UpstreamThread) -> None:
    gate = Gate()
    upstream.script(*[sse_answer(chunk("a"), Wait(gate), chunk("b", "stop"))] * 200)
    url = upstream.simulator.openrouter_url
    with running_proxy(confdir, openrouter_api_base_url=url) as proxy:
        ask_at_once(proxy.openai(), gate)


def ask_at_once(client: openai.OpenAI, gate: Gate) -> None:
    def ask(number: int) -> str:
        stream = client.chat.completions.create(model="m", messages=HELLO, stream=True)
        text = next(stream).choices[0].delta.content or ""
        if number == 0:
            gate.open()
        return text + "".join(c.choices[0].delta.content or "" for c in stream)

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert list(pool.map(ask, range(200))) == ["ab"] * 200

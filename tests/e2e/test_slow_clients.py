"""A client that does not read holds its upstream back, and gets all of its response later."""

import json

import pytest

from addon.demo.simulator import Gate, Send, Wait, sse_answer
from tests.e2e.test_faults import LAST, prompt
from tests.harness import RunningProxy
from tests.upstream import UpstreamThread, eventually

TEXT = {"choices": [{"index": 0, "delta": {"content": "x" * 100_000}}]}
EVENT = b"data: %b\n\n" % json.dumps(TEXT).encode()
COUNT = 200


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_a_client_that_does_not_read_for_longer_than_the_timeout(
    proxy: RunningProxy, upstream: UpstreamThread, http2: bool
) -> None:
    """The module's proxy has a `timeout` of 1 s."""
    gate = Gate()
    gate.open()
    upstream.script(sse_answer(*[Send(EVENT)] * COUNT, Wait(gate), LAST))
    url = "https://api.openai.com/v1/chat/completions" if http2 else "/v1/chat/completions"
    with (
        proxy.client(tunnel=http2, http2=http2) as client,
        client.stream("POST", url, json=prompt(stream=True)) as answer,
    ):
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert not gate.reached.wait(1.6)
        content = b"".join(answer.iter_raw())
    assert content.count(EVENT) == COUNT
    assert content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_a_client_that_leaves_without_reading(
    proxy: RunningProxy, upstream: UpstreamThread, http2: bool
) -> None:
    before = upstream.simulator.open_connections
    upstream.script(sse_answer(*[Send(EVENT)] * COUNT, LAST))
    url = "https://api.openai.com/v1/chat/completions" if http2 else "/v1/chat/completions"
    with (
        proxy.client(tunnel=http2, http2=http2) as client,
        client.stream("POST", url, json=prompt(stream=True)) as answer,
    ):
        assert next(answer.iter_raw())
    assert eventually(lambda: upstream.simulator.open_connections <= before)

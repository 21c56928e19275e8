"""What an upstream sends is bounded: as it arrives, decoded, in memory, and in errors."""

import gzip
import itertools
import json
from collections.abc import Callable

import pytest

from addon.demo.simulator import Hang, Pause, ScriptedResponse, Send, json_answer, sse_answer
from tests.e2e.test_faults import COMPLETION, EVENT, JSON, LAST, SSE, assert_usable, prompt
from tests.harness import RunningProxy
from tests.upstream import UpstreamThread

MIB = bytes(2**20).replace(b"\0", b" ")
SENDS = (Send(MIB),) * 9  # the module's proxy has max_body_mib 8
GZIP = ("content-encoding", "gzip")

ANSWERS: dict[str, Callable[[], ScriptedResponse]] = {
    "endless": lambda: ScriptedResponse(200, JSON, (*SENDS, Hang())),
    "endless error": lambda: ScriptedResponse(500, JSON, (*SENDS, Hang())),
    "known length": lambda: ScriptedResponse(200, JSON, SENDS, framing="length"),
    "gzip": lambda: ScriptedResponse(200, (*JSON, GZIP), (Send(gzip.compress(MIB * 9)),)),
    "gzip error": lambda: ScriptedResponse(500, (*JSON, GZIP), (Send(gzip.compress(MIB * 9)),)),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_whole_body(
    proxy: RunningProxy, upstream: UpstreamThread, name: str, stream: bool
) -> None:
    upstream.script(ANSWERS[name]())
    with proxy.client() as client:
        answer = client.post("/v1/chat/completions", json=prompt(stream=stream))
        assert answer.status_code == 502
        message = answer.json()["error"]["message"]
        assert message == "OpenRouter sent a response of more than 8 MiB (setting max_body_mib)"
        assert_usable(client, upstream)


def test_the_largest_body_passes(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    body = json.dumps(COMPLETION).encode().ljust(8 * 2**20)
    upstream.script(ScriptedResponse(200, (*JSON, GZIP), (Send(gzip.compress(body)),)))
    answer = proxy.client().post("/v1/chat/completions", json=prompt())
    assert answer.json() == COMPLETION


def test_a_stream_that_has_to_be_held(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    """The last event of the Responses API repeats the whole response."""
    text = {"choices": [{"index": 0, "delta": {"content": "x" * 2**20}}]}
    upstream.script(sse_answer(*[text] * 9, Hang(), done=False))
    answer = proxy.client().post("/v1/responses", json={"model": "m", "input": "x", "stream": True})
    assert answer.text.count("response.failed") == 2
    assert "more than 8 MiB (setting max_body_mib)" in answer.text


def test_an_upstream_that_goes_on_after_the_end(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    hang = Hang()
    more = itertools.chain.from_iterable((Send(b": x\n\n"), Pause(0.1)) for _ in range(40))
    upstream.script(sse_answer(LAST, "[DONE]", *more, hang, done=False))
    with proxy.client() as client:
        answer = client.post("/v1/chat/completions", json=prompt(stream=True))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert not hang.gate.reached.is_set()


def test_an_error_s_text(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(json_answer({"error": {"message": "x" * 100_000}}, 400))
    answer = proxy.client().post("/v1/chat/completions", json=prompt())
    assert len(answer.json()["error"]["message"]) == 4003


def test_two_members_of_gzip(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    first, second = (b"data: %b\n\n" % json.dumps(each).encode() for each in (EVENT, LAST))
    packed = gzip.compress(first) + gzip.compress(second + b"data: [DONE]\n\n")
    upstream.script(ScriptedResponse(200, (*SSE, GZIP), (Send(packed),)))
    answer = proxy.client().post("/v1/chat/completions", json=prompt(stream=True))
    assert answer.content == first + second + b"data: [DONE]\n\n"

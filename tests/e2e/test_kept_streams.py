"""How much of a stream its flow keeps: nothing if no view shows it, else a bounded part."""

from pathlib import Path

import pytest
from mitmproxy.http import HTTPFlow

from addon.demo.simulator import Pause, Send, sse_answer
from addon.layers import http_stream
from tests.e2e.test_faults import EVENT, LAST, prompt
from tests.harness import running_proxy
from tests.upstream import UpstreamThread


class Recorder:
    def __init__(self) -> None:
        self.contents: list[bytes | None] = []

    def response(self, flow: HTTPFlow) -> None:
        self.contents.append(flow.response and flow.response.raw_content)


@pytest.mark.parametrize("with_view", [False, True], ids=["nobody looks", "view"])
def test_a_stream_is_kept_for_views_only(
    confdir: Path, upstream: UpstreamThread, with_view: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_stream, "MAX_RESPONSE_BYTES", 1000)
    upstream.script(sse_answer(*[Send(b": comment\n\n"), Pause(0.002)] * 200, EVENT, LAST))
    recorder, url = Recorder(), upstream.simulator.openrouter_url
    with running_proxy(confdir, with_view=with_view, openrouter_api_base_url=url) as running:
        running.add(recorder)
        with running.client() as client:
            answer = client.post("/v1/chat/completions", json=prompt(stream=True))
    assert answer.text.endswith("[DONE]\n\n")
    (content,) = recorder.contents
    if with_view:
        assert content
        assert 1000 <= len(content) < len(answer.content)
        assert answer.content.startswith(content)
    else:
        assert content is None

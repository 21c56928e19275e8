"""Without our layers: hooks alone answer prompts, and no key stays in the record."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from mitmproxy import http

from addon import layers
from addon.layers import tls
from addon.proxy import LlmProxy
from commands.config.model import Config
from tests.harness import UPSTREAM_KEY, RunningProxy, running_proxy
from tests.upstream import UpstreamThread

HELLO = [{"role": "user", "content": "hi"}]
recorded: list[http.HTTPFlow] = []
MISFIT = "mitmproxy 99 does not fit"


class Unlayered(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings, MISFIT)

    def response(self, flow: http.HTTPFlow) -> None:
        super().response(flow)
        recorded.append(flow)


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "incompatibility", lambda: MISFIT)
        patch.delattr(tls, "_context")  # it would not work
        with running_proxy(
            confdir,
            addon_class=Unlayered,
            openrouter_api_base_url=upstream.simulator.openrouter_url,
            gemini_api_base_url=upstream.simulator.gemini_url,
        ) as running:
            yield running


@pytest.mark.parametrize("model", ["openrouter:demo/echo", "gemini:gemini-3-pro"])
def test_prompts_are_answered(
    proxy: RunningProxy, upstream: UpstreamThread, model: str, tunnel: bool
) -> None:
    client = proxy.openai(tunnel=tunnel)
    whole = client.chat.completions.create(model=model, messages=HELLO)
    assert (whole.choices[0].message.content or "").endswith("hi")
    stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text.endswith("hi")
    sent = upstream.simulator.requests[-1]
    assert sent.header("authorization") or sent.header("x-goog-api-key")
    assert recorded
    for flow in recorded:
        assert UPSTREAM_KEY not in str(flow.request.headers.fields)


def test_errors_have_openai_s_shape(proxy: RunningProxy) -> None:
    with pytest.raises(openai.RateLimitError, match="Rate limit"):
        proxy.openai().chat.completions.create(model="demo/error-429", messages=HELLO)
    assert "x-request-id" in proxy.client().get("/nothing").headers


def test_models_are_listed(proxy: RunningProxy) -> None:
    ids = [each["id"] for each in proxy.client().get("/v1/models").json()["data"]]
    assert "openrouter:demo/echo" in ids

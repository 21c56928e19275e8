"""One cassette over several runs of the proxy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from mitmproxy.io import FlowReader

from addon.demo.simulator import json_answer, sse_answer
from addon.exchange import flow_record
from addon.proxy import LlmProxy
from commands.config.model import Config
from tests.harness import CLIENT_KEY, ENVIRON, UPSTREAM_KEY, RunningProxy, running_proxy
from tests.upstream import UpstreamThread

HELLO: Any = [{"role": "user", "content": "hi"}]
COMMAND: Any = [{"role": "user", "content": "!/status"}]
SECRET: Any = [{"role": "user", "content": f"What is {UPSTREAM_KEY}?"}]


class Unlayered(LlmProxy):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings, "mitmproxy 99 does not fit")


def answer(text: str) -> dict[str, object]:
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def ask(proxy: RunningProxy, messages: Any = HELLO, model: str = "m") -> str | None:
    completion = proxy.openai().chat.completions.create(model=model, messages=messages)
    return completion.choices[0].message.content


@pytest.fixture(scope="module")
def path(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded by two runs of the proxy."""
    path = tmp_path_factory.mktemp("tapes") / "run.mitm"
    with UpstreamThread() as upstream:
        for text in ("first", "second"):
            with running_proxy(
                confdir,
                environ=ENVIRON | {"PROXY_RECORD": str(path)},
                openrouter_api_base_url=upstream.simulator.openrouter_url,
                gemini_api_base_url=upstream.simulator.gemini_url,
            ) as proxy:
                upstream.script(json_answer(answer(text)))
                assert ask(proxy) == text
                ask(proxy, SECRET)
                assert "gemini" in (ask(proxy, model="gemini:gemini-2.5-pro") or "")
                proxy.client().post("/v1/chat/completions", json={"messages": COMMAND})
                chunk = {"choices": [{"index": 0, "delta": {"content": "x"}}]}
                upstream.script(sse_answer(chunk))  # without a finish reason
                proxy.openai().chat.completions.create(
                    model="stream", messages=HELLO, stream=True
                ).response.read()
    return path


@pytest.fixture(params=[LlmProxy, Unlayered])
def proxy(request: pytest.FixtureRequest, confdir: Path, path: Path) -> Iterator[RunningProxy]:
    environ = {"LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY, "PROXY_PLAYBACK": str(path)}
    with running_proxy(confdir, environ=environ, addon_class=request.param) as running:
        yield running


def test_each_run_answers_repeats_from_the_beginning(proxy: RunningProxy) -> None:
    assert [ask(proxy) for _ in range(4)] == ["first", "second", "second", "second"]
    stream = proxy.openai().chat.completions.create(model="stream", messages=HELLO, stream=True)
    assert [chunk.choices[0].delta.content for chunk in stream] == ["x"]
    assert "gemini" in (ask(proxy, model="gemini:gemini-2.5-pro") or "")
    with pytest.raises(openai.NotFoundError, match="No recorded response"):
        ask(proxy, [{"role": "user", "content": "something else"}])


def test_what_models_answered_is_recorded_without_secrets(path: Path) -> None:
    with path.open("rb") as file:
        for flow in FlowReader(file).stream():
            assert flow.metadata["llm_backend"]
            sides = [flow_record.load(flow, side) or b"" for side in flow_record.CAPTURES]  # type: ignore[arg-type]
            text = b"".join([repr(flow.get_state()).encode(), *sides])
            assert UPSTREAM_KEY.encode() not in text
            assert CLIENT_KEY.encode() not in text

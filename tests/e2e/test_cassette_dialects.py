"""Exchanges in other dialects than the chat's, recorded and played back."""

from pathlib import Path
from typing import Any

from tests.e2e.test_cassette import OFFLINE, TOOLS
from tests.harness import ENVIRON, RunningProxy, running_proxy
from tests.upstream import UpstreamThread


def test_other_dialects(confdir: Path, upstream: UpstreamThread, tmp_path: Path) -> None:
    """Their answers are written anew: the same text and calls, with other ids."""
    file = tmp_path / "run.mitm"

    def talk(proxy: RunningProxy) -> list[Any]:
        client = proxy.openai()
        heard: list[Any] = []
        history: list[Any] = [{"role": "user", "content": "!/set(project=x) Use tools"}]
        tools: Any = [{"type": "function", **TOOLS[0]["function"]}]
        for model in ("demo/echo", "gemini:gemini-2.5-pro"):
            given = [*history]
            answer = client.responses.create(model=model, input=given, tools=tools)
            calls = [item for item in answer.output if item.type == "function_call"]
            heard += [(call.name, call.arguments, call.call_id) for call in calls]
            outputs: list[Any] = [
                {"type": "function_call_output", "call_id": call.call_id, "output": "done"}
                for call in calls
            ]
            given += [item.model_dump(exclude_none=True) for item in answer.output] + outputs
            with client.responses.stream(model=model, input=given, tools=tools) as events:
                final = events.get_final_response()
            heard += [final.output_text, final.status, final.usage and final.usage.total_tokens]
            old = client.completions.create(model=model, prompt="Say it")
            heard.append(old.choices[0].text)
            chunks = client.completions.create(model=model, prompt="Say it", stream=True)
            heard.append("".join(chunk.choices[0].text for chunk in chunks if chunk.choices))
        return heard

    with running_proxy(
        confdir,
        environ=ENVIRON | {"PROXY_RECORD": str(file)},
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
    ) as proxy:
        first = talk(proxy)
    with running_proxy(confdir, environ=OFFLINE | {"PROXY_PLAYBACK": str(file)}) as proxy:
        assert talk(proxy) == first
    assert len(first) == 2 * 6

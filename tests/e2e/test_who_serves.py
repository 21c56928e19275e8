"""What went upstream is what confirmations and `!/status` say."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from addon.demo.simulator import json_answer
from tests.e2e.failing import good
from tests.harness import ENVIRON, RunningProxy, running_proxy
from tests.upstream import UpstreamThread

IDS = (
    "anthropic/claude-sonnet-4.5",
    "deepseek/deepseek-chat",
    "google/gemini-2.5-pro",
    "meta-llama/llama-3.3-70b-instruct",
    "mistralai/mistral-large",
    "openai/gpt-4o",
    "x-ai/grok-4",
)
SONNET, PRO = "openrouter:anthropic/claude-sonnet-4.5", "gemini:gemini-2.5-pro"
ROUTE = f"!/create-failover-route(name=best, {PRO}, {SONNET})"


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    """OpenRouter's list is scripted, Gemini's is the simulator's; no default backend is set."""
    environ = {name: value for name, value in ENVIRON.items() if name != "LLM_BACKEND"}
    upstream.script(json_answer({"data": [{"id": id} for id in IDS]}), path="/api/v1/models")
    with running_proxy(
        confdir,
        environ=environ,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        aliases={"sonnet": SONNET},
    ) as running:
        listed = running.client().get("/v1/models").json()["data"]
        assert {SONNET, PRO, "sonnet"} <= {each["id"] for each in listed}
        yield running


class Talk:
    """One session: commands, and prompts with the model that went upstream."""

    def __init__(self, proxy: RunningProxy, upstream: UpstreamThread, session: str) -> None:
        self._client = proxy.client(headers={"x-session-id": session})
        self._upstream = upstream

    def post(self, text: str, model: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return self._client.post("/v1/chat/completions", json=body)

    def command(self, text: str, model: str) -> str:
        return str(self.post(text, model).json()["choices"][0]["message"]["content"])

    def served(self, model: str, backend: str) -> str:
        """Who is asked for a prompt: the backend answers just this once."""
        self._upstream.script(good(backend, "fine", False))
        answer = self.post("hi", model)
        assert answer.json()["choices"][0]["message"]["content"] == "fine"
        request = [*self._upstream.simulator.requests][-1]
        if request.header("x-goog-api-key"):
            return f"gemini:{request.path.rpartition('/')[2].partition(':')[0]}"
        return f"openrouter:{request.json['model']}"

    def shown(self, model: str) -> str:
        """Who serves, in the words of `!/status`."""
        found = re.search(r"prompts go to (.*?); model:", self.command("!/status", model))
        assert found
        return found[1]


@pytest.mark.parametrize(
    ("command", "model", "confirmed", "status"),
    [
        ("", "gpt-4o", "", "gpt-4o -> openrouter:openai/gpt-4o (model_mapping gpt-*)"),
        ("", "best", "", f"best -> {PRO} (route best)"),
        ("", "sonnet", "", f"sonnet -> {SONNET} (alias sonnet)"),
        (
            "!/set(model=best)",
            "gpt-4o",
            f"model set to best -> {PRO} (route best)",
            f"gpt-4o -> {PRO} (set(model), route best)",
        ),
        (
            "!/model(sonnet)",
            "gpt-4o",
            f"model set to sonnet -> {SONNET} (alias sonnet)",
            f"gpt-4o -> {SONNET} (set(model))",
        ),
        (
            "!/set(model=grok)",
            "gpt-4o",
            "model set to grok -> openrouter:x-ai/grok-4 (the only model with this in its name)",
            "gpt-4o -> openrouter:x-ai/grok-4 (set(model))",
        ),
        (
            "!/backend(gemini)",
            "openrouter:google/gemini-2.5-pro",
            "backend set to gemini",
            f"openrouter:google/gemini-2.5-pro -> {PRO} (set(backend))",
        ),
        (
            "!/backend(openrouter)",
            "gpt-4o",
            "backend set to openrouter",
            "gpt-4o -> openrouter:openai/gpt-4o (set(backend))",
        ),
        (
            "!/backend(openrouter)",
            "best",
            f"backend set to openrouter; but prompts go to best -> {PRO} (route best)",
            f"best -> {PRO} (route best)",
        ),
    ],
)
def test_what_is_said_is_what_happens(
    proxy: RunningProxy,
    upstream: UpstreamThread,
    command: str,
    model: str,
    confirmed: str,
    status: str,
) -> None:
    session = f"{command} {model}".strip()
    talk = Talk(proxy, upstream, session)
    talk.command("!/set(interactive=on)", model)
    talk.command(ROUTE, model)
    if command:
        assert talk.command(command, model) == confirmed
    assert talk.shown(model) == status
    target = re.sub(r" \(.*", "", status).rpartition(" -> ")[2]
    assert talk.served(model, target.partition(":")[0]) == target
    # llm.status, where nobody asks for a model, is about the session's last request.
    assert f"prompts go to {status}; " in str(proxy.command("llm.status", session))


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("deepseek-chat", "openrouter:deepseek/deepseek-chat"),
        ("grok-4", "openrouter:x-ai/grok-4"),
        ("llama-3.3-70b-versatile", "openrouter:meta-llama/llama-3.3-70b-instruct"),
        ("mistral-large-latest", "openrouter:mistralai/mistral-large"),
        ("claude-sonnet-4-5-20250929", SONNET),
    ],
)
def test_names_of_other_vendors(
    proxy: RunningProxy, upstream: UpstreamThread, model: str, served: str
) -> None:
    assert Talk(proxy, upstream, model).served(model, "openrouter") == served
    shown = proxy.client().get(f"/v1/models/{model}").json()
    assert shown["id"] == served


def test_a_backend_without_the_model_refuses(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    talk = Talk(proxy, upstream, "refusing")
    reason = (
        "gemini has no model gpt-4o: choose one with !/set(model=...), or lift the choice of "
        "gemini with !/unset(backend)"
    )
    talk.command("!/set(interactive=on)", "gpt-4o")
    assert talk.command("!/backend(gemini)", "gpt-4o") == f"backend set to gemini; but {reason}"
    answer = talk.post("hi", "gpt-4o")
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": reason,
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert talk.shown("gpt-4o") == f"nobody: {reason}"


@pytest.mark.parametrize(("name", "owner"), [("best", "failover-route"), ("sonnet", "alias")])
def test_own_names_are_models(
    proxy: RunningProxy, upstream: UpstreamThread, name: str, owner: str
) -> None:
    Talk(proxy, upstream, "own").command(ROUTE, "x")
    assert proxy.client().get(f"/v1/models/{name}").json()["owned_by"] == owner


def test_an_unknown_model_gets_proposals(proxy: RunningProxy) -> None:
    answer = proxy.client().get("/v1/models/claude-sonet-4.5")
    assert answer.status_code == 404
    assert "did you mean" in answer.json()["error"]["message"]

"""How the lists of models are asked for."""

from pathlib import Path

import pytest

from addon.demo.simulator import ScriptedResponse, json_answer
from tests.harness import ENVIRON, running_proxy
from tests.upstream import UpstreamThread


def test_a_dead_backend_does_not_hide_the_other(confdir: Path, upstream: UpstreamThread) -> None:
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url="http://127.0.0.1:1/v1beta",
    ) as proxy:
        ids = [model["id"] for model in proxy.client().get("/v1/models").json()["data"]]
    assert ids
    assert all(id.startswith("openrouter:") for id in ids)


def test_every_page_and_no_question_twice(confdir: Path, upstream: UpstreamThread) -> None:
    def page(name: str, token: str | None) -> ScriptedResponse:
        model = {"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]}
        return json_answer({"models": [model], "nextPageToken": token})

    upstream.script(page("one", "t"), page("two", None), path="/v1beta/models")
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
    ) as proxy:
        for _ in range(3):
            data = proxy.client().get("/v1/models").json()["data"]
    assert [m["id"] for m in data if m["owned_by"] == "google"] == ["gemini:one", "gemini:two"]
    asked = [r.path for r in upstream.simulator.requests if r.path.startswith("/v1beta/models")][
        -2:
    ]
    assert [path.partition("pageToken=")[2] for path in asked] == ["", "t"]
    assert {
        r.header("x-goog-api-key") for r in upstream.simulator.requests if "pageToken" in r.path
    } == {"AIza-upstream-key-for-tests"}
    assert not [r.path for r in upstream.simulator.requests if "key=" in r.path]


@pytest.mark.parametrize(("backend", "is_named"), [(None, True), ("gemini", False)])
def test_the_default_backend_is_named_if_none_is_set(
    confdir: Path,
    upstream: UpstreamThread,
    caplog: pytest.LogCaptureFixture,
    backend: str | None,
    is_named: bool,
) -> None:
    environ = {**ENVIRON, "LLM_BACKEND": backend or ""}
    caplog.set_level("INFO")
    with running_proxy(
        confdir,
        environ=environ,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
    ) as proxy:
        assert proxy.client().get("/v1/models/gemini:gemini-2.5-pro").status_code == 200
    said = [each for each in caplog.messages if each.startswith("Models that no other rule")]
    text = "finds go to openrouter; --default-backend or LLM_BACKEND names another backend"
    assert said == ([f"Models that no other rule {text}"] if is_named else [])

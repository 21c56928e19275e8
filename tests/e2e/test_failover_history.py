"""What is told of the attempts afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addon.demo.simulator import Cut, sse_answer
from tests.e2e.failing import entries, event, failing
from tests.harness import RunningProxy, running_proxy
from tests.upstream import UpstreamThread

ROUTES = {
    "cut": {"policy": "m", "elements": ["openrouter:a", "openrouter:b"]},
    "unfit": {"policy": "m", "elements": ["openrouter:c", "gemini:gemini-2.5-pro"]},
}


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread, log_dir: Path) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        failover_routes=ROUTES,
        sessions={"log_dir": str(log_dir)},
    ) as running:
        yield running


def ask(proxy: RunningProxy, model: str, role: str = "user", **options: Any) -> Any:
    body = {"model": model, "messages": [{"role": role, "content": "hi"}], **options}
    headers = {"x-session-id": model}
    return proxy.client(headers=headers).post("/v1/chat/completions", json=body)


def test_an_attempt_that_died_in_its_stream_is_told(
    proxy: RunningProxy, upstream: UpstreamThread, log_dir: Path
) -> None:
    upstream.script(failing(500), sse_answer(event("openrouter", "x"), Cut()))
    answer = ask(proxy, "cut", stream=True)
    assert answer.headers["x-llm-proxy-attempts"] == "2"
    (entry,) = entries(log_dir, "cut")
    assert [attempt.partition(" ")[0] for attempt in entry["attempts"]] == [
        "openrouter:a",
        "openrouter:b",
    ]


def test_the_status_is_an_upstream_s(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    """The second element cannot take such a message, which is not what the client is told."""
    upstream.script(failing(500))
    assert ask(proxy, "unfit", role="nobody").status_code == 500


def test_no_attempt_is_told_where_none_was_made(
    proxy: RunningProxy, upstream: UpstreamThread, log_dir: Path
) -> None:
    upstream.script(failing(429, retry_after="9"))
    assert [ask(proxy, "limited").status_code for _ in range(2)] == [429, 429]
    first, second = entries(log_dir, "limited")
    assert len(first["attempts"]) == 1
    assert second["attempts"] == []

"""When the next attempt is made and when not: keys, cooldowns, sticky sessions, the end of it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addon.demo.simulator import Hang, ScriptedResponse, html_answer, json_answer, sse_answer
from tests.e2e.failing import (
    KEYS,
    SECRETS,
    TWO_KEYS,
    Chat,
    entries,
    error,
    event,
    failing,
    good,
    model_of,
    told,
)
from tests.harness import RunningProxy, running_proxy
from tests.upstream import UpstreamThread

TIMEOUT_S = 0.4
FIRST_KEY, SECOND_KEY = (("openrouter", value) for value in KEYS.values())
NAMES = [f"{what}-{way}" for what in ("hit", "fit", "stick", "set", "fields", "leave", "bound")
         for way in ("False", "True")]  # fmt: skip


def route(name: str, policy: str = "m", length: int = 2) -> dict[str, Any]:
    """OpenRouter and Gemini in turn; from the third element on models are numbered."""
    elements = []
    for at in range(length):
        backend = ("openrouter", "gemini")[at % 2]
        elements.append(f"{backend}:{model_of(backend, name if at < 2 else f'{name}-{at}')}")
    return {"policy": policy, "elements": elements}


ROUTES = {
    **{name: route(name) for name in NAMES},
    **{f"upstream-{status}": route(f"upstream-{status}", "km") for status in (401, 402, 403)},
    **{f"client-{status}": route(f"client-{status}", "km") for status in (400, 404, 413, 422)},
    "long": route("long", length=26),
    "hanging": route("hanging", length=6),
    "fault-400": {"policy": "m", "elements": ["gemini:gemini-2.5-unfit", "openrouter:m-unfit"]},
}


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread, log_dir: Path) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        environ=TWO_KEYS,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
        failover_routes=ROUTES,
        sessions={"log_dir": str(log_dir)},
        connect_timeout=1,
        timeout=TIMEOUT_S,
        keep_alive=0.15,
    ) as running:
        yield running


@pytest.fixture
def chat(proxy: RunningProxy, upstream: UpstreamThread) -> Iterator[Chat]:
    with proxy.client() as client:
        yield Chat(client, "/v1/chat/completions", upstream)


streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@streams
def test_the_next_key_is_tried_without_a_route(
    chat: Chat, upstream: UpstreamThread, log_dir: Path, stream: bool
) -> None:
    name = f"rotation-{stream}"
    model = f"openrouter:{model_of('openrouter', name)}"
    upstream.script(failing(429, retry_after="30"), good("openrouter", "two", stream))
    assert told(chat.ask(model, name, stream=stream)).text == "two"
    assert chat.calls(name) == [FIRST_KEY, SECOND_KEY]
    (entry,) = entries(log_dir, name)
    assert entry["key_name"] == "OPENROUTER_API_KEY_2"
    # The first key rests for all sessions.
    upstream.script(good("openrouter", "three", stream), failing(429, retry_after="60"))
    assert told(chat.ask(model, f"{name}-other", stream=stream)).text == "three"
    assert chat.calls(name)[2:] == [SECOND_KEY]
    assert chat.ask(model, name, stream=stream).status_code == 429
    assert chat.calls(name)[3:] == [SECOND_KEY]
    # Now all rest: the soonest is told, and nobody asked.
    resting = chat.ask(model, f"{name}-third", stream=stream)
    assert resting.status_code == 429
    assert resting.json()["error"]["code"] == "rate_limit_exceeded"
    assert 20 <= int(resting.headers["retry-after"]) <= 30
    assert len(chat.calls(name)) == 4
    (entry,) = entries(log_dir, f"{name}-third")
    assert entry["error"].startswith("429")


@streams
def test_without_a_route_a_key_is_not_changed_for_the_upstream_s_faults(
    chat: Chat, upstream: UpstreamThread, stream: bool
) -> None:
    name = f"alone-{stream}"
    upstream.script(failing(503))
    answer = chat.ask(f"openrouter:{model_of('openrouter', name)}", name, stream=stream)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "fault 503"
    assert chat.calls(name) == [FIRST_KEY]


@streams
def test_all_failed(chat: Chat, upstream: UpstreamThread, log_dir: Path, stream: bool) -> None:
    """Told with the names of the keys, and never with their values."""
    name, leak = f"hit-{stream}", f"no such key: {KEYS['OPENROUTER_API_KEY_1']}"
    upstream.script(json_answer({"error": {"code": 403, "message": leak}}, 403))
    upstream.script(html_answer(529, "Busy"))
    answer = chat.ask(name, name, stream=stream)
    assert answer.status_code == 529
    body = answer.json()["error"]
    head, _, reasons = body["message"].partition(": ")
    first, second = reasons.split("; ", 1)
    assert head == "All backends failed"
    assert first.startswith(f"openrouter:m-{name} with OPENROUTER_API_KEY_1: 403 no such key")
    assert second.startswith(f"gemini:gemini-2.5-{name} with GEMINI_API_KEY: 529 ")
    assert re.search(r"Busy \(\d+\.\d\d s\)$", second)
    assert answer.headers["x-llm-proxy-attempts"] == "2"
    (entry,) = entries(log_dir, name)
    assert len(entry["attempts"]) == 2
    assert entry["error"].startswith("529 All backends failed")
    shown = answer.text + str(answer.headers) + json.dumps(entry)
    assert not any(secret in shown for secret in SECRETS)


@streams
@pytest.mark.parametrize("backend", ["openrouter", "gemini"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_of_ours_is_not_the_client_s(
    chat: Chat, upstream: UpstreamThread, status: int, backend: str, stream: bool
) -> None:
    name = f"refused-{status}"
    names = {"openrouter": ["OPENROUTER_API_KEY_1", "OPENROUTER_API_KEY_2"]}
    tried = names.get(backend, ["GEMINI_API_KEY"])
    upstream.script(*(failing(status) for _ in tried))
    answer = chat.ask(f"{backend}:{model_of(backend, name)}", f"{name}-{stream}", stream=stream)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    body = answer.json()["error"]
    assert (body["type"], body["code"]) == ("server_error", "upstream_authentication")
    if backend == "gemini":
        assert body["message"] == f"Google Gemini refused GEMINI_API_KEY: fault {status}"
    else:
        assert all(f"with {each}: {status} fault {status}" in body["message"] for each in tried)


def test_a_refused_key_inside_a_stream(chat: Chat, upstream: UpstreamThread) -> None:
    model = f"openrouter:{model_of('openrouter', 'refused-inside')}"
    upstream.script(sse_answer(event("openrouter", "one"), error(401), done=False))
    answer = told(chat.ask(model, "refused-inside", stream=True))
    assert answer == ("one", ["OpenRouter refused OPENROUTER_API_KEY_1: fault 401"])


@pytest.mark.parametrize("backend", ["openrouter", "gemini"])
def test_a_refused_key_for_embeddings(
    proxy: RunningProxy, upstream: UpstreamThread, backend: str
) -> None:
    upstream.script(failing(401))
    body = {"model": f"{backend}:{model_of(backend, 'embedding')}", "input": "hi"}
    answer = proxy.client().post("/v1/embeddings", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_authentication")


@streams
def test_a_prompt_that_moderation_flags_is_the_client_s(
    chat: Chat, upstream: UpstreamThread, stream: bool
) -> None:
    flagged = {"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["x"]}}}
    upstream.script(json_answer(flagged, 403), json_answer(flagged, 403))
    name = f"flagged-{stream}"
    answer = chat.ask(f"openrouter:{model_of('openrouter', name)}", name, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


@streams
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_the_client_did_wrong_is_not_tried_again(
    chat: Chat, upstream: UpstreamThread, status: int, stream: bool
) -> None:
    name = f"client-{status}"
    before = len(chat.calls(name))
    upstream.script(failing(status))
    answer = chat.ask(name, f"{name}-{stream}", stream=stream)
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == f"fault {status}"
    assert chat.calls(name)[before:] == [FIRST_KEY]


@streams
@pytest.mark.parametrize("status", [401, 402, 403])
def test_what_is_wrong_with_a_key_of_ours_is(
    chat: Chat, upstream: UpstreamThread, status: int, stream: bool
) -> None:
    for name, model in [
        (f"upstream-{status}", f"upstream-{status}"),
        (f"key-{status}", f"openrouter:{model_of('openrouter', f'key-{status}')}"),
    ]:
        before = len(chat.calls(name))
        upstream.script(failing(status), good("openrouter", "two", stream))
        assert told(chat.ask(model, f"{name}-{stream}", stream=stream)).text == "two"
        assert chat.calls(name)[before:] == [FIRST_KEY, SECOND_KEY]


@streams
def test_a_backend_that_the_prompt_does_not_fit_is_passed_over(
    chat: Chat, upstream: UpstreamThread, log_dir: Path, stream: bool
) -> None:
    upstream.script(good("openrouter", "two", stream))
    wrong = [{"role": "nobody", "content": "hi"}]
    answer = chat.ask("fault-400", f"unfit-{stream}", stream=stream, messages=wrong)
    assert told(answer).text == "two"
    (entry,) = entries(log_dir, f"unfit-{stream}")
    assert ["400" in line for line in entry["attempts"]] == [True, False]


def test_after_content_the_error_is_told_inside_the_stream(
    chat: Chat, upstream: UpstreamThread
) -> None:
    name = "fit-True"
    upstream.script(sse_answer(event("openrouter", "one"), error(503)))
    text, ends = told(chat.ask(name, name, stream=True))
    assert (text, ends) == ("one", ["fault 503"])
    assert chat.backends(name) == ["openrouter"]


@streams
def test_a_session_stays_with_what_has_answered(
    chat: Chat, upstream: UpstreamThread, stream: bool
) -> None:
    name = f"stick-{stream}"

    def ask(session: str, *answers: ScriptedResponse, text: str = "hi") -> list[str]:
        """Who was asked in turn."""
        before = len(chat.calls(name))
        upstream.script(*answers)
        got = chat.ask(name, f"{name}-{session}", stream=stream, text=text)
        assert told(got).text == "fine"
        return chat.backends(name)[before:]

    openrouter, gemini = (good(each, "fine", stream) for each in ("openrouter", "gemini"))
    assert ask("a", failing(500), gemini) == ["openrouter", "gemini"]
    assert ask("a", gemini) == ["gemini"]
    assert ask("b", openrouter) == ["openrouter"]
    assert ask("a", gemini) == ["gemini"]
    # It stays until that fails ...
    assert ask("a", failing(500), openrouter) == ["gemini", "openrouter"]
    assert ask("a", openrouter) == ["openrouter"]
    # ... or until the session's settings change.
    assert ask("a", failing(500), gemini) == ["openrouter", "gemini"]
    assert ask("a", openrouter, text="!/set(project=p) hi") == ["openrouter"]


@streams
def test_fields_for_scripts(chat: Chat, upstream: UpstreamThread, stream: bool) -> None:
    name = f"fields-{stream}"
    names = [f"x-llm-proxy-{each}" for each in ("backend", "model", "attempts")]
    upstream.script(good("openrouter", "one", stream))
    first = chat.ask(name, f"{name}-first", stream=stream).headers
    assert [first[each] for each in names] == ["openrouter", f"m-{name}", "1"]
    upstream.script(failing(500), good("gemini", "two", stream))
    second = chat.ask(name, f"{name}-second", stream=stream).headers
    assert [second[each] for each in names] == ["gemini", f"gemini-2.5-{name}", "2"]


@streams
@pytest.mark.parametrize("faults", [0, 1])
def test_a_client_that_leaves_ends_the_attempts(
    proxy: RunningProxy,
    upstream: UpstreamThread,
    chat: Chat,
    log_dir: Path,
    stream: bool,
    faults: int,
) -> None:
    name, session, hang = f"leave-{stream}", f"leave-{stream}-{faults}", Hang()
    before = len(chat.calls(name))
    upstream.script(*[failing(500)] * faults, ScriptedResponse.raw(hang))
    prompt = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
    with proxy.send_prompt({**prompt, "stream": stream}, session=session):
        assert hang.gate.reached.wait(5)
    assert hang.gate.client_gone.wait(5)
    time.sleep(TIMEOUT_S + 0.2)
    assert chat.backends(name)[before:] == ["openrouter", "gemini"][: faults + 1]
    (entry,) = entries(log_dir, session)
    assert entry["error"].startswith("499")


def test_attempts_are_bounded_in_number(chat: Chat, upstream: UpstreamThread) -> None:
    before = len(upstream.simulator.requests)
    upstream.script(*[failing(500)] * 20)
    answer = chat.ask("long", "long", stream=False)
    assert answer.status_code == 500
    assert answer.headers["x-llm-proxy-attempts"] == "20"
    assert len(upstream.simulator.requests) - before == 20


@streams
def test_attempts_are_bounded_in_time(
    chat: Chat, upstream: UpstreamThread, log_dir: Path, stream: bool
) -> None:
    """None is begun later than twice the time-out."""
    before = len(upstream.simulator.requests)
    upstream.script(ScriptedResponse.hang(), ScriptedResponse.hang())
    started = time.monotonic()
    (end,) = told(chat.ask("hanging", f"hanging-{stream}", stream=stream)).ends
    assert time.monotonic() - started < 3 * TIMEOUT_S
    assert end.startswith("All backends failed: openrouter:")
    assert len(upstream.simulator.requests) - before == 2
    (entry,) = entries(log_dir, f"hanging-{stream}")
    assert len(entry["attempts"]) == 2

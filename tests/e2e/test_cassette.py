"""An agent's session recorded once, then played back without upstreams, keys and network."""

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import openai
import pytest

from addon.cli import main
from addon.demo.simulator import json_answer
from tests.harness import CLIENT_KEY, ENVIRON, RunningProxy, running_proxy
from tests.process import running_process
from tests.upstream import UpstreamThread

OFFLINE = {"LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY}
FAILING = ["openrouter:demo/error-429", "gemini:gemini-demo-error-503"]
TALKATIVE: dict[str, Any] = {
    "disable_interactive_mode": False,
    "failover_routes": {
        "best": {"policy": "m", "elements": [FAILING[0], "openrouter:demo/echo"]},
        "bad": {"policy": "m", "elements": FAILING},
    },
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "run",
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
            },
        },
    }
]
EMBEDDINGS = {"object": "list", "data": [{"embedding": [0.5], "index": 0}], "model": "e"}


class Run(NamedTuple):
    """What differs from one run of an agent to the next."""

    clock: str
    folder: str
    user: str


FIRST = Run("2026-11-23T10:15:00Z", "/tmp/tmpab12_x9", "run-1")
SECOND = Run("2027-01-02T23:59:59Z", "/tmp/tmpzz98_k0", "run-2")


class Agent:
    """Talks to the proxy as an agent does; `heard` is every answer, to the byte."""

    def __init__(self, proxy: RunningProxy, run: Run) -> None:
        self._client = proxy.openai()
        self._run = run
        self.heard: list[bytes] = []
        self.messages: list[Any] = [{"role": "system", "content": f"It is {run.clock}."}]

    def ask(self, model: str, text: str, **options: Any) -> Any:
        """Say something; the answer becomes part of the history."""
        self.messages.append({"role": "user", "content": text})
        return self.go_on(model, **options)

    def go_on(self, model: str, **options: Any) -> Any:
        answer = self._client.chat.completions.with_raw_response.create(
            model=model, messages=self.messages, user=self._run.user, **options
        )
        self.heard.append(answer.http_response.read())
        message: Any = {"role": "assistant"}
        if options.get("stream"):
            message["content"] = "".join(
                chunk.choices[0].delta.content or "" for chunk in answer.parse() if chunk.choices
            )
        else:
            message = answer.parse().choices[0].message.model_dump(exclude_none=True)
        self.messages.append(message)
        return message

    def embed(self, text: str) -> None:
        answer = self._client.embeddings.with_raw_response.create(
            model="text-embedding-3-small", input=text, encoding_format="float"
        )
        self.heard.append(answer.http_response.read())

    def work(self) -> None:
        """A session with everything: streams, tools, commands, both backends, a failover."""
        self.ask("openrouter:demo/echo", "Hello", stream=True)
        called = self.ask("openrouter:demo/tool-call", "Look around", tools=TOOLS)
        for call in called["tool_calls"]:
            result = f"{self._run.folder} at {self._run.clock}"
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        self.go_on("openrouter:demo/tool-call", tools=TOOLS)
        self.ask("openrouter:demo/echo", "!/set(project=moon)\nGo on", stream=True)
        self.ask("gemini:gemini-2.5-pro", "In other words")
        self.ask("gemini:gemini-demo-thinking", "And again", stream=True)
        self.ask("best", "Is somebody there?")
        self.embed("some text")


class Tape(NamedTuple):
    """What was recorded, by us and by mitmproxy itself, and what the agent heard."""

    ours: Path
    saved: Path
    heard: list[bytes]


def parallel(proxy: RunningProxy) -> list[str]:
    """Many questions at once; the answers in the order of the questions."""
    client = proxy.openai()

    def ask(number: int) -> str:
        message: Any = {"role": "user", "content": f"Question {number}"}
        answer = client.chat.completions.create(model="openrouter:demo/echo", messages=[message])
        return answer.choices[0].message.content or ""

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        return list(pool.map(ask, range(40)))


@pytest.fixture(scope="module")
def tape(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Tape:
    folder = tmp_path_factory.mktemp("tapes")
    ours, saved = folder / "ours.mitm", folder / "saved.mitm"
    with (
        UpstreamThread() as upstream,
        running_proxy(
            confdir,
            environ=ENVIRON | {"PROXY_RECORD": str(ours)},
            openrouter_api_base_url=upstream.simulator.openrouter_url,
            gemini_api_base_url=upstream.simulator.gemini_url,
            **TALKATIVE,
        ) as proxy,
    ):
        proxy.master.options.update(save_stream_file=str(saved))
        upstream.script(json_answer(EMBEDDINGS), path="/api/v1/embeddings")
        agent = Agent(proxy, FIRST)
        agent.work()
        parallel(proxy)
        client = proxy.client(headers={"x-session-id": "alone"})
        command = {"messages": [{"role": "user", "content": "!/status"}]}
        assert client.post("/v1/chat/completions", json=command).status_code == 200
        failing = {"model": "bad", "messages": [{"role": "user", "content": "Fail"}]}
        assert client.post("/v1/chat/completions", json=failing).status_code == 503
    return Tape(ours, saved, agent.heard)


@pytest.fixture(scope="module", params=["ours", "saved"])
def proxy(request: pytest.FixtureRequest, confdir: Path, tape: Tape) -> Iterator[RunningProxy]:
    environ = OFFLINE | {"PROXY_PLAYBACK": str(getattr(tape, request.param))}
    with running_proxy(confdir, environ=environ, **TALKATIVE) as running:
        yield running


def test_another_run_of_the_session_hears_the_same(proxy: RunningProxy, tape: Tape) -> None:
    for _ in range(2):  # what was recorded once is answered again and again
        agent = Agent(proxy, SECOND)
        agent.work()
        assert agent.heard == tape.heard
    assert b"llm-interactive-proxy" in tape.heard[0]  # the banner, as it was then
    assert b"moon" in tape.heard[3]


def test_parallel_requests_get_their_own_answers(proxy: RunningProxy) -> None:
    assert all(f"Question {n}" in answer for n, answer in enumerate(parallel(proxy)))


def test_a_whole_answer_as_a_stream(proxy: RunningProxy) -> None:
    chunks = proxy.openai().chat.completions.create(
        model="openrouter:demo/echo",
        messages=[{"role": "user", "content": "Question 7"}],
        stream=True,
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Question 7" in text


@pytest.mark.parametrize("stream", [False, True])
def test_a_miss_tells_what_is_nearest(proxy: RunningProxy, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as missed:
        proxy.openai().chat.completions.create(
            model="openrouter:demo/echo",
            messages=[{"role": "user", "content": "Question 7, please"}],
            stream=stream,
        )
    assert missed.value.code == "cassette_miss"
    assert 'messages[0].content: recorded "Question 7", requested "Question 7, please"' in str(
        missed.value
    )


def test_a_miss_is_told_once_and_failures_are_told(proxy: RunningProxy) -> None:
    """Though the route has two elements."""
    with pytest.raises(openai.NotFoundError) as missed:
        proxy.openai().chat.completions.create(
            model="bad", messages=[{"role": "user", "content": "Fail"}]
        )
    message = missed.value.body["message"]  # type: ignore[index]
    assert message.startswith("No recorded response in ")
    assert "but its recorded response was 503 " in message
    assert missed.value.response.headers["x-llm-proxy-attempts"] == "1"


def test_commands_alone_are_answered_live(proxy: RunningProxy) -> None:
    client = proxy.client(headers={"x-session-id": "other"})

    def say(text: str) -> str:
        body = {"messages": [{"role": "user", "content": text}]}
        answer = client.post("/v1/chat/completions", json=body)
        return str(answer.json()["choices"][0]["message"]["content"])

    assert "demo/echo" in say("!/set(model=openrouter:demo/echo)")
    assert "other" in say("!/status")


def test_the_models_are_those_of_the_cassette(proxy: RunningProxy) -> None:
    models = {each.id for each in proxy.openai().models.list()}
    assert {"openrouter:demo/echo", "gemini:gemini-2.5-pro", "best"} <= models
    assert "openrouter:demo/slow" not in models


def test_nothing_but_the_player_is_connected_to(proxy: RunningProxy) -> None:
    assert {host for host, _ in proxy.addon._access.upstreams} == {"127.0.0.1"}


# Starting


def test_as_a_script_of_mitmdump(tmp_path: Path, confdir: Path, tape: Tape) -> None:
    from tests.e2e.test_process import MITMDUMP, SCRIPT

    command = [*MITMDUMP, *SCRIPT, "--set", f"confdir={confdir}"]
    environ = OFFLINE | {"PROXY_PLAYBACK": str(tape.ours)}
    with running_process(tmp_path, command, environ) as process:
        body = {
            "model": "openrouter:demo/echo",
            "messages": [{"role": "user", "content": "Question 7"}],
        }
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        url = f"{process.url}/v1/chat/completions"
        answer = httpx.post(url, json=body, headers=headers, trust_env=False)
        assert "Question 7" in answer.json()["choices"][0]["message"]["content"]
    output = (tmp_path / "output.txt").read_text()
    assert "Playing back ours.mitm (recorded requests: " in output


WRONG = {
    "both": (["--record", "a", "--playback", "b"], "--record a: cannot be set together with"),
    "no file": (["--playback", "none"], "none: cannot play it back: No such file or directory"),
    "no flows": (["--playback", "text"], "text: cannot play it back: Invalid data format."),
    "nothing in it": (["--playback", "empty"], "empty: cannot play it back: it has no response"),
    "no place": (["--record", "folder"], "folder: cannot record to it: Is a directory"),
    "no timing": (["--playback-timing", "x"], "--playback-timing x: must be at-once or recorded"),
}


@pytest.mark.parametrize(("flags", "line"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    assert main(flags) == 2
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert len(told.splitlines()) == 1

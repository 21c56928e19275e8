"""Failover inside one flow: every fault of a first attempt, told by nothing but its trace."""

import itertools
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from addon.session_log import file_name
from addon.simulator import (
    Answer,
    Cut,
    Pause,
    Reset,
    Send,
    html_answer,
    json_answer,
    sse_answer,
)
from tests.harness import ENVIRON, RunningProxy, running_proxy
from tests.upstream import UpstreamThread, eventually

KEYS = {"OPENROUTER_API_KEY_1": "sk-or-v1-first-key", "OPENROUTER_API_KEY_2": "sk-or-v1-second-key"}
TWO_KEYS = {**{n: v for n, v in ENVIRON.items() if n != "OPENROUTER_API_KEY"}, **KEYS}
SECRETS = (*KEYS.values(), ENVIRON["GEMINI_API_KEY"])
BACKENDS = ("openrouter", "gemini")
JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
SOON = Pause(0.02)  # so that what comes before is read before the connection breaks


def model_of(backend: str, name: str) -> str:
    return f"gemini-2.5-{name}" if backend == "gemini" else f"m-{name}"


def event(backend: str, text: str) -> dict[str, Any]:
    if backend == "gemini":
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def good(backend: str, text: str, stream: bool) -> Answer:
    if backend == "gemini":  # is always asked for a stream
        last = {"candidates": [{"finishReason": "STOP"}]}
        return sse_answer(event(backend, text), last, done=False)
    if stream:
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        return sse_answer(event(backend, text), last)
    return json_answer({"id": "g", "choices": [{"index": 0, "message": {"content": text}}]})


def error(status: int) -> dict[str, Any]:
    return {"error": {"code": status, "message": f"fault {status}"}}


def failing(status: int, **fields: str) -> Answer:
    headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return json_answer(error(status), status, headers)


def cut_after_content(backend: str, stream: bool) -> Answer:
    if stream or backend == "gemini":
        return sse_answer(event(backend, "one"), SOON, Cut())
    return Answer(200, JSON, (Send(b'{"id": "g", "choices": [{"mess'), SOON, Cut()))


# By name: the answer of the first attempt to a whole or streamed request of its backend.
FAULTS: dict[str, Callable[[str, bool], Answer | None]] = {
    "refused": lambda backend, stream: None,
    "reset-before-headers": lambda backend, stream: Answer.reset_before_headers(),
    "reset-after-headers": lambda backend, stream: Answer(200, SSE, (SOON, Reset())),
    "hang": lambda backend, stream: Answer.hang(),
    **{str(status): lambda _, __, status=status: failing(status) for status in (429, 500)},
    **{str(status): lambda _, __, status=status: failing(status) for status in (503, 529)},
    "html-502": lambda backend, stream: html_answer(502, "Bad gateway"),
    "200-with-error": lambda backend, stream: json_answer(error(502)),
    "sse-error-first": lambda backend, stream: sse_answer(error(502)),
    "comments-then-cut": lambda _, __: sse_answer(b": x\n\n", b": y\n\n", SOON, Cut()),
    "cut-after-content": cut_after_content,
}
# With these the client of a stream has got a head before the first attempt has failed.
HEAD_IS_OUT = ("hang", "comments-then-cut")


class Cell(NamedTuple):
    fault: str
    first: str
    stream: bool
    http2: bool

    @property
    def second(self) -> str:
        return BACKENDS[self.first == BACKENDS[0]]

    @property
    def name(self) -> str:
        way = ("whole", "stream")[self.stream], ("http1", "http2")[self.http2]
        return "-".join((self.fault, self.first, *way))

    @property
    def refused(self) -> str:
        return self.first if self.fault == "refused" else ""


CELLS = [Cell(*each) for each in itertools.product(FAULTS, BACKENDS, (False, True), (False, True))]


def route(policy: str, *backends: str, name: str) -> dict[str, Any]:
    """One element for each of the backends; from the third on models are numbered."""
    names = (name if at < 2 else f"{name}-{at}" for at in range(len(backends)))
    models = map(model_of, backends, names)
    return {"policy": policy, "elements": list(map(":".join, zip(backends, models, strict=True)))}


ROUTES = {
    **{cell.name: route("m", cell.first, cell.second, name=cell.name) for cell in CELLS},
    **{f"mixed{n}": route("m", *BACKENDS, name=f"mixed{n}") for n in range(20)},
    **{f"keys{n}": route("km", *BACKENDS, name=f"keys{n}") for n in range(9)},
    **{f"long{n}": route("m", *BACKENDS * 13, name=f"long{n}") for n in range(2)},
}


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def proxy(
    request: pytest.FixtureRequest, confdir: Path, upstream: UpstreamThread, log_dir: Path
) -> Iterator[RunningProxy]:
    """The parameter names the backend that refuses connections, if one does."""
    urls = {
        "openrouter": upstream.simulator.openrouter_url,
        "gemini": upstream.simulator.gemini_url,
    }
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        if refused := getattr(request, "param", ""):
            urls[refused] = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with running_proxy(
            confdir,
            environ=TWO_KEYS,
            openrouter_api_base_url=urls["openrouter"],
            gemini_api_base_url=urls["gemini"],
            failover_routes=ROUTES,
            sessions={"log_dir": str(log_dir)},
            connect_timeout=1,
            timeout=0.4,
            keep_alive=0.15,
        ) as running:
            yield running


class Chat:
    """A client, and what became of its prompts."""

    def __init__(self, client: httpx.Client, url: str, upstream: UpstreamThread) -> None:
        self._client = client
        self._url = url
        self._upstream = upstream

    def ask(self, model: str, session: str, *, stream: bool, text: str = "hi") -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        return self._client.post(self._url, json=body, headers={"x-session-id": session})

    def calls(self, name: str) -> list[tuple[str, str]]:
        """Backend and key of each attempt at a model of this name, in their order."""
        found = []
        for request in self._upstream.simulator.requests:
            if request.method != "POST":
                continue
            if key := request.header("x-goog-api-key"):
                call, asked = ("gemini", key), request.path.partition(":")[0].rpartition("/")[2]
            else:
                key = (request.header("authorization") or "").removeprefix("Bearer ")
                call, asked = ("openrouter", key), request.json["model"]
            if model_of(call[0], name) == asked:
                found.append(call)
        return found

    def backends(self, name: str) -> list[str]:
        return [backend for backend, _ in self.calls(name)]


@pytest.fixture
def chat(proxy: RunningProxy, upstream: UpstreamThread) -> Iterator[Chat]:
    with proxy.client() as client:
        yield Chat(client, "/v1/chat/completions", upstream)


def entries(log_dir: Path, session: str) -> list[dict[str, Any]]:
    """The history of a session, which has to have one."""
    log = log_dir / file_name(session)
    assert eventually(log.exists)
    return [json.loads(line) for line in log.read_text().splitlines()]


class Told(NamedTuple):
    text: str
    ends: list[str]
    """Each `[DONE]` and each error's message, in their order."""


def told(answer: httpx.Response) -> Told:
    if answer.headers["content-type"] == "application/json":
        value = answer.json()
        if "error" in value:
            return Told("", [value["error"]["message"]])
        return Told(value["choices"][0]["message"]["content"], ["[DONE]"])
    assert answer.status_code == 200
    text, ends = "", []
    assert answer.text.endswith("\n\n")
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        assert block.startswith((":", "data: ")), block
        if block == "data: [DONE]":
            ends.append("[DONE]")
        elif block.startswith("data: "):
            value = json.loads(block.removeprefix("data: "))
            if "error" in value:
                ends.append(value["error"]["message"])
            else:
                assert not ends
                text += value["choices"][0]["delta"].get("content") or ""
    return Told(text, ends)


def address(answer: httpx.Response) -> Any:
    return answer.extensions["network_stream"].get_extra_info("client_addr")


@pytest.mark.parametrize(
    ("proxy", "cell"),
    [pytest.param(cell.refused, cell, id=cell.name) for cell in CELLS],
    indirect=["proxy"],
)
def test_the_matrix(
    proxy: RunningProxy, upstream: UpstreamThread, log_dir: Path, cell: Cell
) -> None:
    first, second, stream, name = cell.first, cell.second, cell.stream, cell.name
    is_lost = stream and cell.fault == "cut-after-content"
    fault = FAULTS[cell.fault](first, stream)
    upstream.script(
        *([fault] if fault else []), *([] if is_lost else [good(second, "two", stream)])
    )
    url = "https://api.openai.com" if cell.http2 else proxy.url
    with proxy.client(tunnel=cell.http2, http2=cell.http2) as client:
        chat = Chat(client, f"{url}/v1/chat/completions", upstream)
        answer = chat.ask(name, name, stream=stream)
        assert answer.http_version == ("HTTP/2" if cell.http2 else "HTTP/1.1")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == SSE[0][1] if stream else JSON[0][1]
        text, ends = told(answer)
        if is_lost:
            assert text == "one"
            assert len(ends) == 1
            assert "broke off" in ends[0]
        else:
            assert (text, ends) == ("two", ["[DONE]"])
        if not stream or cell.fault not in HEAD_IS_OUT:
            fields = [answer.headers[f"x-llm-proxy-{n}"] for n in ("backend", "model", "attempts")]
            served = first if is_lost else second
            assert fields == [served, model_of(served, name), "1" if is_lost else "2"]
        refused, asked = cell.fault == "refused", [first] if is_lost else [first, second]
        assert chat.backends(name) == asked[refused:]

        (entry,) = entries(log_dir, name)
        assert len(entry["attempts"]) == len(asked)
        assert [line.partition(":")[0] for line in entry["attempts"]] == asked
        assert entry["text"] == text
        assert bool(entry["error"]) == is_lost
        assert not any(secret in json.dumps(entry) for secret in SECRETS)

        for backend in [second, *([] if refused else [first])]:
            upstream.script(good(backend, "three", stream))
            model = f"{backend}:{model_of(backend, 'after')}"
            again = chat.ask(model, f"after {name}", stream=stream)
            assert told(again) == ("three", ["[DONE]"])
            assert address(again) == address(answer)
        assert len(chat.calls(name)) == len(asked) - refused


streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@streams
def test_the_next_key_is_tried_without_a_route(
    chat: Chat, upstream: UpstreamThread, log_dir: Path, stream: bool
) -> None:
    name = f"rotation{stream}"
    model = f"openrouter:{model_of('openrouter', name)}"
    upstream.script(failing(429, retry_after="30"), good("openrouter", "two", stream))
    assert told(chat.ask(model, name, stream=stream)).text == "two"
    one, two = (("openrouter", value) for value in KEYS.values())
    assert chat.calls(name) == [one, two]
    (entry,) = entries(log_dir, name)
    assert entry["key_name"] == "OPENROUTER_API_KEY_2"
    # The first key rests for all sessions.
    upstream.script(good("openrouter", "three", stream), failing(429, retry_after="60"))
    assert told(chat.ask(model, f"{name} other", stream=stream)).text == "three"
    assert chat.calls(name) == [one, two, two]
    assert chat.ask(model, name, stream=stream).status_code == 429
    assert len(chat.calls(name)) == 4
    # Now all rest: the soonest is told, and nobody asked.
    resting = chat.ask(model, f"{name} third", stream=stream)
    assert resting.status_code == 429
    assert resting.json()["error"]["code"] == "rate_limit_exceeded"
    assert 25 <= int(resting.headers["retry-after"]) <= 30
    assert len(chat.calls(name)) == 4
    (entry,) = entries(log_dir, f"{name} third")
    assert "429" in entry["error"]

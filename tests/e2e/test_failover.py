"""Failover inside one flow: every fault of a first attempt, told by nothing but its trace."""

import itertools
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from addon.demo.simulator import (
    Cut,
    Pause,
    Reset,
    ScriptedResponse,
    Send,
    html_answer,
    json_answer,
    sse_answer,
)
from tests.e2e.failing import (
    BACKENDS,
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

JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
SOON = Pause(0.02)  # so that what comes before is read before the connection breaks


def cut_after_content(backend: str, stream: bool) -> ScriptedResponse:
    if stream or backend == "gemini":
        return sse_answer(event(backend, "one"), SOON, Cut())
    return ScriptedResponse(200, JSON, (Send(b'{"id": "g", "choices": [{"mess'), SOON, Cut()))


# By name: the answer of the first attempt to a whole or streamed request of its backend.
FAULTS: dict[str, Callable[[str, bool], ScriptedResponse | None]] = {
    "refused": lambda backend, stream: None,
    "reset-before-headers": lambda backend, stream: ScriptedResponse.reset_before_headers(),
    "reset-after-headers": lambda backend, stream: ScriptedResponse(200, SSE, (SOON, Reset())),
    "hang": lambda backend, stream: ScriptedResponse.hang(),
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


def route(cell: Cell) -> dict[str, Any]:
    elements = [f"{each}:{model_of(each, cell.name)}" for each in (cell.first, cell.second)]
    return {"policy": "m", "elements": elements}


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
            failover_routes={cell.name: route(cell) for cell in CELLS},
            sessions={"log_dir": str(log_dir)},
            connect_timeout=1,
            timeout=0.4,
            keep_alive=0.15,
        ) as running:
            yield running


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
            assert "broke" in ends[0]
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

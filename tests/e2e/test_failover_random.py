"""500 random sequences of faults, many at a time: no hang, nothing mixed, lost or doubled."""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
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
from addon.loopback.script import ReceivedRequest
from backends.keys import Key
from backends.model_id import BackendName, ModelId
from commands.routing import failover
from commands.routing.routes import POLICIES, Policy, Route
from tests.e2e.failing import (
    KEYS,
    TWO_KEYS,
    entries,
    error,
    event,
    failing,
    good,
    model_of,
    told,
)
from tests.harness import CLIENT_KEY, OnlyHttp2, RunningProxy, running_proxy
from tests.upstream import UpstreamThread

COUNT, WORKERS = 500, 20
NO_ANSWER_S = 12.0  # longer than the longest sequence takes
SEED = 20261123
JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
# LONG is longer than the time between comments, and a reset takes with it what is still unread.
SHORT, LONG = Pause(0.02), Pause(0.4)
KEYS_OF: dict[BackendName, list[Key]] = {
    "openrouter": [Key(*each) for each in KEYS.items()],
    "gemini": [Key("GEMINI_API_KEY", TWO_KEYS["GEMINI_API_KEY"])],
}

Make = Callable[[str, str, bool], ScriptedResponse]
"""From the backend, the text of the answer, and whether the client wants a stream."""


def late(make: Make) -> Make:
    def made(backend: str, text: str, stream: bool) -> ScriptedResponse:
        answer = make(backend, text, stream)
        return ScriptedResponse.raw(LONG, *answer.wire_steps)

    return made


def commented(make: Make) -> Make:
    """Behind comments, where there is a stream."""

    def made(backend: str, text: str, stream: bool) -> ScriptedResponse:
        answer = make(backend, text, stream)
        if dict(answer.headers).get("content-type") != SSE[0][1]:
            return answer
        comments = (Send(b": x\n\n"), SHORT, Send(b": y\n\n"))
        return ScriptedResponse(
            answer.status, answer.headers, (*comments, *answer.steps), answer.framing
        )

    return made


def slow(make: Make) -> Make:
    """With its end in a piece of its own."""

    def made(backend: str, text: str, stream: bool) -> ScriptedResponse:
        answer = make(backend, text, stream)
        steps = [step for each in answer.wire_steps for step in (each, SHORT)]
        return ScriptedResponse.raw(*steps[:-1])

    return made


def broken(*steps: Cut | Reset | Pause) -> Make:
    def made(backend: str, text: str, stream: bool) -> ScriptedResponse:
        if stream or backend == "gemini":
            return sse_answer(event(backend, text), SHORT, *steps)
        return ScriptedResponse(200, JSON, (Send(b'{"choices": [{"mess'), SHORT, *steps))

    return made


def failing_behind_content(backend: str, text: str, stream: bool) -> ScriptedResponse:
    if stream or backend == "gemini":
        return sse_answer(event(backend, text), error(502))
    return json_answer(error(502))


def plain(answer: ScriptedResponse) -> Make:
    return lambda backend, text, stream: answer


GOOD: list[Make] = [good, good, late(good), commented(good), slow(good)]
FINAL: list[Make] = [plain(failing(status)) for status in (404, 413, 422)]
AFTER_CONTENT: list[Make] = [broken(Cut()), broken(LONG, Reset()), failing_behind_content]
RETRIED: list[Make] = [
    *(plain(failing(status)) for status in (401, 403, 429, 500, 503, 529)),
    plain(ScriptedResponse.reset_before_headers()),
    plain(ScriptedResponse.close_before_headers()),
    plain(ScriptedResponse(200, SSE, (SHORT, Reset()))),
    plain(sse_answer(b": x\n\n", SHORT, Cut())),
    plain(sse_answer(error(502))),
    plain(sse_answer(b": x\n\n", SHORT, error(503))),
    plain(json_answer(error(502))),
    plain(html_answer(502, "Bad gateway")),
    plain(ScriptedResponse.raw(b"SSH-2.0-OpenSSH\r\n\r\n", Cut())),
    late(plain(failing(500))),
    late(plain(ScriptedResponse.close_before_headers())),
    slow(plain(failing(503))),
    slow(plain(json_answer(error(502)))),
    slow(plain(sse_answer(error(502)))),
]
HANGS: Make = plain(ScriptedResponse.hang())


class Try(NamedTuple):
    model: str
    key: str
    make: Make

    @property
    def backend(self) -> str:
        return "gemini" if self.model.startswith("gemini") else "openrouter"


class Sequence(NamedTuple):
    name: str
    stream: bool
    route: Route
    tries: list[Try]
    """What each attempt meets, in their order; behind the last good or final one none is made."""

    def text(self, number: int) -> str:
        return f"<{self.name}/{number}>"


def draw(number: int) -> Sequence:
    dice = random.Random(SEED + number)
    backends: list[BackendName] = dice.choices(["openrouter", "gemini"], k=dice.randint(1, 4))
    elements = tuple(
        ModelId(backend, model_of(backend, f"{number}-{at}")) for at, backend in enumerate(backends)
    )
    policy: Policy = dice.choice(POLICIES)
    route, stream = Route(f"route-{number}", policy, elements), dice.random() < 0.6
    tries = []
    for attempt in failover.plan(route, KEYS_OF):
        kinds = dice.choices([GOOD, FINAL, AFTER_CONTENT, RETRIED], [20, 3, 7, 70])[0]
        make = dice.choice(kinds)
        if number % 25 == 0 and not tries and attempt.backend == "openrouter":
            make = HANGS
        tries.append(Try(attempt.model, attempt.key.value, make))
        if make in GOOD or make in FINAL or (make in AFTER_CONTENT and stream):
            break
    return Sequence(route.name, stream, route, tries)


SEQUENCES = [draw(number) for number in range(COUNT)]
ROUTES = {
    route.name: {"policy": route.policy, "elements": [str(each) for each in route.elements]}
    for _, _, route, _ in SEQUENCES
}


def dies_unanswered(answer: ScriptedResponse) -> bool:
    is_cut = any(isinstance(step, Cut | Reset) for step in answer.wire_steps)
    return is_cut and not any(isinstance(step, Send) for step in answer.wire_steps)


class Scripts:
    """Answers by model and key, since the order of requests is not known; counts all of them."""

    def __init__(self) -> None:
        self._answers: defaultdict[tuple[str, str], deque[ScriptedResponse]] = defaultdict(deque)
        self.asked: list[tuple[str, str]] = []
        self._known: set[int] = set()  # the connections that have been used

    def add(self, model: str, key: str, answer: ScriptedResponse) -> None:
        self._answers[model, key].append(answer)

    def __call__(self, request: ReceivedRequest) -> ScriptedResponse | None:
        """In the place of the simulator's own look into its scripts."""
        if request.method != "POST":
            return None
        key = request.header("x-goog-api-key")
        if key:
            model = request.path.partition(":")[0].rpartition("/")[2]
        else:
            model = request.json["model"]
            key = (request.header("authorization") or "").removeprefix("Bearer ")
        answers = self._answers[model, key]
        is_reused = request.connection in self._known
        self._known.add(request.connection)
        if is_reused and answers and dies_unanswered(answers[0]):
            return answers[0]  # and once more, to the same request on a new connection
        self.asked.append((model, key))
        return answers.popleft() if answers else json_answer(error(418), 418)


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
        failover_routes={
            each.name: {
                "policy": each.route.policy,
                "elements": list(map(str, each.route.elements)),
            }
            for each in SEQUENCES
        },
        sessions={"log_dir": str(log_dir)},
        connect_timeout=10,
        timeout=2,
        timeouts={"gemini": 20},  # which also allows for so much time in all
        keep_alive=0.15,
    ) as running:
        yield running


def check(sequence: Sequence, answer: httpx.Response, scripts: Scripts, log_dir: Path) -> None:
    *before, last = sequence.tries
    is_cut = sequence.stream and last.make in AFTER_CONTENT
    text, ends = told(answer)
    if last.make in GOOD or is_cut:
        assert text == sequence.text(len(before))
        assert answer.status_code == 200
    else:
        assert text == ""
    assert len(ends) == 1
    assert (ends == ["[DONE]"]) == (last.make in GOOD)
    if len(before) and last.make not in GOOD and not is_cut and last.make not in FINAL:
        assert ends[0].startswith("All backends failed: ")
        assert ends[0].count(" with ") >= len(sequence.tries)
    models = {each.model for each in sequence.tries}
    asked = [each for each in scripts.asked if each[0] in models]
    assert asked == [(each.model, each.key) for each in sequence.tries]
    (entry,) = entries(log_dir, sequence.name)
    assert entry["text"] == text
    assert bool(entry["error"]) == (last.make not in GOOD)
    assert len(entry["attempts"]) == len(sequence.tries)


def test_random_sequences(
    proxy: RunningProxy,
    upstream: UpstreamThread,
    log_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = Scripts()
    monkeypatch.setattr(upstream.simulator, "_scripted", scripts)
    for sequence in SEQUENCES:
        for number, each in enumerate(sequence.tries):
            text = sequence.text(number)
            scripts.add(each.model, each.key, each.make(each.backend, text, sequence.stream))
    faults: list[str] = []
    left = iter(SEQUENCES)

    async def work(client: httpx.AsyncClient, url: str) -> None:
        for sequence in left:
            prompt = {"model": sequence.name, "messages": [{"role": "user", "content": "hi"}]}
            try:
                async with asyncio.timeout(NO_ANSWER_S):
                    answer = await client.post(
                        url,
                        json={**prompt, "stream": sequence.stream},
                        headers={"x-session-id": sequence.name},
                    )
                check(sequence, answer, scripts, log_dir)
            except (
                AssertionError,
                ValueError,
                LookupError,
                TimeoutError,
                httpx.HTTPError,
            ) as fault:
                faults.append(f"{sequence}: {fault!r}"[:3000])

    async def work_all() -> None:
        """Half of the workers on connections of their own, half as streams of two connections."""
        verify = OnlyHttp2()
        verify.load_verify_locations(proxy.ca)
        async with AsyncExitStack() as stack:
            work_of_all = []
            for options in [{}] * (WORKERS // 2) + [{"proxy": proxy.url, "http2": True}] * 2:
                client = httpx.AsyncClient(
                    headers={"authorization": f"Bearer {CLIENT_KEY}"},
                    verify=verify,
                    trust_env=False,
                    timeout=NO_ANSWER_S,
                    **options,
                )
                await stack.enter_async_context(client)
                host = "https://api.openai.com" if options else proxy.url
                streams = WORKERS // 4 if options else 1
                work_of_all += [work(client, f"{host}/v1/chat/completions") for _ in range(streams)]
            await asyncio.gather(*work_of_all)

    asyncio.run(work_all())
    assert not faults, f"{len(faults)} of {COUNT}:\n" + "\n".join(faults[:5])
    assert len(scripts.asked) == sum(len(each.tries) for each in SEQUENCES)
    assert sum(1 for _ in log_dir.iterdir()) == COUNT


def test_the_sequences_are_of_all_kinds() -> None:
    lasts: Any = [each.tries[-1].make for each in SEQUENCES]
    met = [each.make for sequence in SEQUENCES for each in sequence.tries]
    assert all(make in lasts for make in (*GOOD, *FINAL, *AFTER_CONTENT))
    assert all(make in met for make in RETRIED)
    assert met.count(HANGS) >= 4
    assert sum(len(each.tries) > 3 for each in SEQUENCES) > 20

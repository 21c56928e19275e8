"""Upstreams that fail or answer as told, and what came of it: for the tests of failover."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from addon.demo.simulator import ScriptedResponse, json_answer, sse_answer
from addon.exchange.history import file_name
from tests.harness import ENVIRON
from tests.upstream import UpstreamThread, eventually

KEYS = {"OPENROUTER_API_KEY_1": "sk-or-v1-first-key", "OPENROUTER_API_KEY_2": "sk-or-v1-second-key"}
TWO_KEYS = {**{n: v for n, v in ENVIRON.items() if n != "OPENROUTER_API_KEY"}, **KEYS}
SECRETS = (*KEYS.values(), ENVIRON["GEMINI_API_KEY"])
BACKENDS = ("openrouter", "gemini")


def model_of(backend: str, name: str) -> str:
    return f"gemini-2.5-{name}" if backend == "gemini" else f"m-{name}"


def event(backend: str, text: str) -> dict[str, Any]:
    if backend == "gemini":
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def good(backend: str, text: str, stream: bool) -> ScriptedResponse:
    if backend == "gemini":  # is always asked for a stream
        last = {"candidates": [{"finishReason": "STOP"}]}
        return sse_answer(event(backend, text), last, done=False)
    if stream:
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        return sse_answer(event(backend, text), last)
    return json_answer({"id": "g", "choices": [{"index": 0, "message": {"content": text}}]})


def error(status: int) -> dict[str, Any]:
    return {"error": {"code": status, "message": f"fault {status}"}}


def failing(status: int, **fields: str) -> ScriptedResponse:
    headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return json_answer(error(status), status, headers)


class Chat:
    """A client, and what became of its prompts."""

    def __init__(self, client: httpx.Client, url: str, upstream: UpstreamThread) -> None:
        self._client = client
        self._url = url
        self._upstream = upstream

    def ask(
        self,
        model: str,
        session: str,
        *,
        stream: bool,
        text: str = "hi",
        messages: list[dict[str, Any]] | None = None,
    ) -> httpx.Response:
        messages = messages or [{"role": "user", "content": text}]
        body = {"model": model, "messages": messages, "stream": stream}
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

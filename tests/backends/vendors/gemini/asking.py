"""Builds Gemini calls for tests, and validates each request."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from backends.backend import ModelRequest
from backends.keys import Key
from backends.vendors.gemini.backend.backend import Gemini
from backends.vendors.gemini.backend.call import GeminiCall
from tests.backends.vendors.gemini.validation import Json, validate_request

WIRE = Path(__file__).resolve().parents[3] / "wire"
KEY = Key("GEMINI_API_KEY", "secret-key")
NOW = 1_700_000_000
USER: Json = {"role": "user", "content": "hi"}
# The newest model of each generation, and one without.
MODELS = ("gemini-2.5-pro", "gemini-3-pro", "gemini-3.5-flash", "gemini-4-pro", "gemma-3-27b-it")


class Recording(NamedTuple):
    """A recorded Gemini response."""

    source: str
    status: int
    body: bytes


def recorded(name: str) -> Recording:
    head, _, body = (WIRE / "gemini" / f"{name}.txt").read_text("utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.split("\n"))
    return Recording(fields["source"], int(fields["status"]), body.encode())


def make_gemini() -> Gemini:
    return Gemini("https://gemini.example/v1beta", clock=lambda: NOW + 0.5)


def ask(
    *messages: Json,
    model: str = "gemini-2.5-pro",
    gemini: Gemini | None = None,
    session: str = "s",
    **parameters: Any,
) -> GeminiCall:
    """Build the call for a chat, and validate its request."""
    chat = {"model": f"gemini:{model}", "messages": list(messages or [USER]), **parameters}
    call = (gemini or make_gemini()).prepare(ModelRequest(chat, None, model, [], session), KEY)
    validate_request(body_of(call), model)
    return call


def body_of(call: GeminiCall) -> Json:
    body: Json = json.loads(call.request.body)
    return body


def function(name: str, parameters: Any = None, **more: Any) -> Json:
    """A tool; by default with one string property."""
    if parameters is None:
        parameters = {"type": "object", "properties": {"x": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def called(*calls: tuple[str, str], content: str | None = None, arguments: str = "{}") -> Json:
    """An assistant's message with tool calls as (id, name)."""
    tool_calls = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": tool_calls}


def result(id: str, content: Any = "ok", **more: Any) -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content, **more}

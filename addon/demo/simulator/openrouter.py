"""Simulates OpenRouter under `/api/v1`. The name of the model selects the behaviour."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

from addon.demo.simulator import dialogue
from addon.demo.simulator.openrouter_chat import (
    COMMENT,
    COST_PER_TOKEN,
    Turn,
    to_chunk,
    to_stream,
    to_whole,
)
from addon.loopback.script import (
    Cut,
    Headers,
    Json,
    Pause,
    ReceivedRequest,
    ScriptedResponse,
    Send,
    half_of,
    html_answer,
    json_answer,
    sse_answer,
    to_event,
)

_SLOW_WAITS = 8
"""How many comments `demo/slow` sends before its first word."""
_SLOW_WORDS = 20
"""The pause after each comment, in delays between words."""

Behaviour = Callable[[Turn, float], ScriptedResponse]
"""From a turn and the delay between words, in seconds."""


class OpenRouter:
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._serials = count(1)
        self._routes: dict[tuple[str, str], Callable[[ReceivedRequest], ScriptedResponse]] = {
            ("POST", "/api/v1/chat/completions"): self._chat,
            ("GET", "/api/v1/models"): _models,
        }

    def answer(self, request: ReceivedRequest) -> ScriptedResponse:
        route = self._routes.get((request.method, request.path.partition("?")[0]))
        return route(request) if route else _error_answer(404, "Not Found")

    def _chat(self, request: ReceivedRequest) -> ScriptedResponse:
        scheme, _, key = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _error_answer(401, "Missing Authentication header")
        try:
            turn = Turn.read(request, next(self._serials))
            behave = _BEHAVIOURS.get(turn.prompt.model, _echo)
            return behave(turn, self._delay_s)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # JSON of another shape, which is not checked before.
            return _error_answer(400, f"Not a chat request: {error!r}")


# Behaviours


def _respond(responder: dialogue.Responder, turn: Turn, delay_s: float) -> ScriptedResponse:
    completion = responder(turn.prompt)
    if turn.is_stream:
        steps = to_stream(turn, completion, delay_s)
        return sse_answer(*steps, done=False, headers=turn.headers)
    return json_answer(to_whole(turn, completion), headers=turn.headers)


_echo = partial(_respond, dialogue.echo)


def _respond_slowly(turn: Turn, delay_s: float) -> ScriptedResponse:
    """Send comments before the first word, or blank lines before a complete response."""
    response = _echo(turn, delay_s)
    sign_of_life = COMMENT if turn.is_stream else Send(b"\n")
    waits = (sign_of_life, Pause(delay_s * _SLOW_WORDS)) * _SLOW_WAITS
    return replace(response, steps=(*waits, *response.steps))


def _truncate(turn: Turn, delay_s: float) -> ScriptedResponse:
    half = half_of(_echo(turn, delay_s))
    return replace(half, steps=(*half.steps, Cut()))


def _fail_mid_stream(turn: Turn, delay_s: float) -> ScriptedResponse:
    """Send an error after half of the text. Such a stream ends without `[DONE]`."""
    if not turn.is_stream:
        completion = to_whole(turn, dialogue.echo(turn.prompt))
        completion["choices"][0] |= {"error": _error(502), "finish_reason": "error"}
        return json_answer(completion, headers=turn.headers)
    half = half_of(_echo(turn, delay_s))
    event = {**to_chunk(turn, {"content": ""}, "error"), "error": _error(502)}
    return replace(half, steps=(*half.steps, Send(to_event(event))))


def _fail_first_event(turn: Turn, delay_s: float) -> ScriptedResponse:
    """Send a comment, an error and `[DONE]`."""
    if not turn.is_stream:
        return _fail_in_200(turn, delay_s)
    event = {**turn.label("chat.completion.chunk"), "error": _error(502), "choices": []}
    return sse_answer(COMMENT, event, headers=turn.headers)


def _fail_in_200(turn: Turn, delay_s: float) -> ScriptedResponse:
    """Send JSON even if the client wants a stream."""
    return json_answer({"id": turn.id, "error": _error(502)}, headers=turn.headers)


def _fail(status: int, turn: Turn, delay_s: float) -> ScriptedResponse:
    hints = _HINTS.get(status, ())
    return json_answer({"error": _error(status), "user_id": "user_simulated"}, status, hints)


def _gateway_page(turn: Turn, delay_s: float) -> ScriptedResponse:
    return html_answer(502, "502 Bad Gateway")


# Errors

_RATE_LIMIT = {
    "X-RateLimit-Limit": "20",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Reset": "1750000060000",
}
_HINTS: dict[int, Headers] = {
    429: (("Retry-After", "2"), *_RATE_LIMIT.items()),
    503: (("Retry-After", "2"),),
}
_OF_PROVIDER = {"provider_name": "Simulated"}
_ERRORS: dict[int, tuple[str, Json]] = {
    400: (
        "Provider returned error",
        {"raw": '{"error":{"message":"Invalid value for temperature"}}', **_OF_PROVIDER},
    ),
    401: ("User not found.", {"error_type": "authentication"}),
    402: (
        "Insufficient credits. Add more using https://openrouter.ai/credits",
        {"error_type": "payment_required", "limit_source": "openrouter_credits"},
    ),
    403: (
        "Your input was flagged by moderation.",
        {"reasons": ["violence"], "flagged_input": "...", "model_slug": "demo", **_OF_PROVIDER},
    ),
    404: ("No endpoints found that support tool use.", {"error_type": "not_found"}),
    429: (
        "Rate limit exceeded: free-models-per-min.",
        {"error_type": "rate_limit_exceeded", "headers": _RATE_LIMIT},
    ),
    500: ("Internal Server Error", {"error_type": "server"}),
    502: ("Provider returned error", {"error_type": "provider_unavailable", **_OF_PROVIDER}),
    503: ("Provider is overloaded", {"error_type": "provider_overloaded", **_OF_PROVIDER}),
    529: ("Provider is overloaded", {"error_type": "provider_overloaded", **_OF_PROVIDER}),
}
"""Message and metadata, by status."""


def _error(status: int) -> Json:
    message, metadata = _ERRORS[status]
    return {"code": status, "message": message, "metadata": metadata}


def _error_answer(status: int, message: str) -> ScriptedResponse:
    return json_answer({"error": {"code": status, "message": message}}, status)


# Models

_BEHAVIOURS: dict[str, Behaviour] = {
    "demo/echo": _echo,
    "demo/tool-call": partial(_respond, dialogue.call_tool),
    "demo/two-tool-calls": partial(_respond, dialogue.call_two_tools),
    "demo/reasoning": partial(_respond, dialogue.reason),
    "demo/slow": _respond_slowly,
    **{f"demo/error-{status}": partial(_fail, status) for status in _ERRORS},
    "demo/error-in-200": _fail_in_200,
    "demo/error-first-event": _fail_first_event,
    "demo/error-mid-stream": _fail_mid_stream,
    "demo/cut-mid-stream": _truncate,
    "demo/html-502": _gateway_page,
}
_ALSO_LISTED = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5", "qwen/qwen3-coder:free")
"""Real model names, which echo as every unknown name does."""


def _models(request: ReceivedRequest) -> ScriptedResponse:
    cards = [_model_card(name) for name in (*_BEHAVIOURS, *_ALSO_LISTED)]
    return json_answer({"data": cards, "links": {"next": None}, "total_count": len(cards)})


def _model_card(name: str) -> Json:
    price = f"{COST_PER_TOKEN:.7f}"
    return {
        "id": name,
        "canonical_slug": name,
        "name": f"Simulated: {name}",
        "created": 1_750_000_000,
        "description": "A simulated model: no AI is asked.",
        "context_length": 128_000,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": price, "completion": price, "request": "0", "image": "0"},
        "top_provider": {
            "context_length": 128_000,
            "max_completion_tokens": 16_384,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "reasoning", "temperature", "tool_choice", "tools"],
        "default_parameters": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{name}/endpoints"},
    }

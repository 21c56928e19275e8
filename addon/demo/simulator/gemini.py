"""Simulates Gemini under `/v1beta`. The name of the model selects the behaviour."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from urllib.parse import parse_qsl, unquote, urlsplit

from addon.demo.simulator import dialogue
from addon.demo.simulator.dialogue import count_tokens
from addon.demo.simulator.gemini_chat import Turn, read_prompt, to_events, to_whole
from addon.demo.simulator.gemini_rules import Fault, find_fault
from addon.loopback.script import (
    Cut,
    Json,
    Pause,
    ReceivedRequest,
    ScriptedResponse,
    Send,
    half_of,
    json_answer,
    sse_answer,
    to_json,
)

_MODEL_PATH = re.compile(r"/v1beta/models/([^/:]+):(generateContent|streamGenerateContent)")
_SLOW_WORDS = 100
"""How long `gemini-demo-slow` stays silent, in delays between words."""

Behaviour = Callable[[Turn, float], ScriptedResponse]
"""From a turn and the delay between words, in seconds."""


class Gemini:
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._serials = count(1)

    def answer(self, request: ReceivedRequest) -> ScriptedResponse:
        if not request.header("x-goog-api-key"):
            return _error_answer(400, _BAD_KEY, (_BAD_KEY_INFO,))
        url = urlsplit(request.path)
        query = dict(parse_qsl(url.query))
        if request.method == "GET" and url.path == "/v1beta/models":
            return _models(query)
        target = _MODEL_PATH.fullmatch(unquote(url.path))
        if request.method != "POST" or not target:
            return _error_answer(404, f"Not found: {request.method} {url.path}")
        # Without alt=sse Gemini streams a JSON list. No client uses it, so it is not streamed here.
        is_stream = target[2] == "streamGenerateContent" and query.get("alt") == "sse"
        return self._generate(request, target[1], is_stream)

    def _generate(self, request: ReceivedRequest, model: str, is_stream: bool) -> ScriptedResponse:
        if not _is_chat_model(model):
            return _error_answer(404, _NO_MODEL.format(model=model))
        try:
            body = request.json
            if fault := find_fault(model, body):
                return _fault_answer(fault)
            tokens = count_tokens(request.body)
            turn = Turn(read_prompt(model, body), tokens, is_stream, next(self._serials))
            behave = _BEHAVIOURS.get(model, _echo)
            return behave(turn, self._delay_s)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # JSON of another shape: the rules check only a part of it.
            return _error_answer(400, f"Invalid JSON payload received. {error!r}")


# Behaviours


def _respond(responder: dialogue.Responder, turn: Turn, delay_s: float) -> ScriptedResponse:
    completion = responder(turn.prompt)
    if not turn.is_stream:
        return json_answer(to_whole(turn, completion))
    steps = (
        step
        for event in to_events(turn, completion)
        for step in (Pause(delay_s), Send(_to_event(event)))
    )
    return sse_answer(*steps, done=False)


_echo = partial(_respond, dialogue.echo)


def _to_event(data: Json) -> bytes:
    # Gemini ends its lines with CRLF.
    return b"data: %b\r\n\r\n" % to_json(data)


def _respond_slowly(turn: Turn, delay_s: float) -> ScriptedResponse:
    """Send nothing for a while after the headers, as Gemini does not send comments."""
    response = _echo(turn, delay_s)
    return replace(response, steps=(Pause(delay_s * _SLOW_WORDS), *response.steps))


def _truncate(turn: Turn, delay_s: float) -> ScriptedResponse:
    half = half_of(_echo(turn, delay_s))
    return replace(half, steps=(*half.steps, Cut()))


def _fail_mid_stream(turn: Turn, delay_s: float) -> ScriptedResponse:
    """End a stream in a bare JSON error after good events."""
    if not turn.is_stream:
        return _fail(503, turn, delay_s)
    half = half_of(_echo(turn, delay_s))
    text = json.dumps(_error(503, *_ERRORS[503]), indent=2)
    return replace(half, steps=(*half.steps, Send(text.encode())))


def _fail(status: int, turn: Turn, delay_s: float) -> ScriptedResponse:
    return _error_answer(status, *_ERRORS[status])


def _block(turn: Turn, delay_s: float) -> ScriptedResponse:
    feedback = {"blockReason": "PROHIBITED_CONTENT"}
    return _single(turn, turn.reply(turn.usage(), promptFeedback=feedback))


def _malformed_call(turn: Turn, delay_s: float) -> ScriptedResponse:
    candidate = {
        "finishReason": "MALFORMED_FUNCTION_CALL",
        "index": 0,
        "finishMessage": "Malformed function call: print(default_api.example(",
    }
    return _single(turn, turn.reply(turn.usage(), candidates=[candidate]))


def _single(turn: Turn, reply: Json) -> ScriptedResponse:
    return sse_answer(_to_event(reply), done=False) if turn.is_stream else json_answer(reply)


# Errors

_GOOGLE = "type.googleapis.com/google.rpc."
_BAD_KEY = "API key not valid. Please pass a valid API key."
_BAD_KEY_INFO: Json = {
    "@type": f"{_GOOGLE}ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "generativelanguage.googleapis.com"},
}
_NO_MODEL = (
    "models/{model} is not found for API version v1beta, or is not supported for "
    "generateContent. Call ListModels to see the list of available models."
)
_QUOTA_FAILURE: Json = {
    "@type": f"{_GOOGLE}QuotaFailure",
    "violations": [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        }
    ],
}
_RETRY_INFO: Json = {"@type": f"{_GOOGLE}RetryInfo", "retryDelay": "2.5s"}
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_ERRORS: dict[int, tuple[str, tuple[Json, ...]]] = {
    400: ("Request contains an invalid argument.", ()),
    403: ("Your API key was reported as leaked. Please use another API key.", ()),
    404: (_NO_MODEL.format(model="gemini-demo-error-404"), ()),
    429: (
        "You exceeded your current quota. Please retry in 2.5s.",
        (_QUOTA_FAILURE, _RETRY_INFO),
    ),
    500: ("An internal error has occurred.", ()),
    503: ("The model is overloaded. Please try again later.", ()),
}
"""Message and details, by status."""


def _error(status: int, message: str, details: tuple[Json, ...] = ()) -> Json:
    error: Json = {"code": status, "message": message, "status": _STATUS_NAMES[status]}
    if details:
        error["details"] = list(details)
    return {"error": error}


def _error_answer(status: int, message: str, details: tuple[Json, ...] = ()) -> ScriptedResponse:
    return json_answer(_error(status, message, details), status)


def _fault_answer(fault: Fault) -> ScriptedResponse:
    violation = {"field": fault.field, "description": fault.message}
    detail = {"@type": f"{_GOOGLE}BadRequest", "fieldViolations": [violation]}
    return _error_answer(400, fault.message, (detail,) if fault.field else ())


# Models

_BEHAVIOURS: dict[str, Behaviour] = {
    "gemini-demo-tool-call": partial(_respond, dialogue.call_tool),
    "gemini-demo-two-tool-calls": partial(_respond, dialogue.call_two_tools),
    "gemini-demo-thinking": partial(_respond, dialogue.reason),
    "gemini-demo-slow": _respond_slowly,
    **{f"gemini-demo-error-{status}": partial(_fail, status) for status in _ERRORS},
    "gemini-demo-error-mid-stream": _fail_mid_stream,
    "gemini-demo-cut-mid-stream": _truncate,
    "gemini-demo-blocked": _block,
    "gemini-demo-malformed-call": _malformed_call,
}
_CHAT = ("generateContent", "countTokens")
_MODELS: dict[str, tuple[str, ...]] = {
    "gemini-2.5-pro": _CHAT,
    "gemini-2.5-flash": _CHAT,
    "gemini-3-pro": _CHAT,
    "gemini-embedding-001": ("embedContent",),
    **dict.fromkeys(_BEHAVIOURS, _CHAT),
}
"""The listed models with their methods."""


def _is_chat_model(model: str) -> bool:
    """Unlisted Gemini models echo, too."""
    return model.startswith("gemini-") and "generateContent" in _MODELS.get(model, _CHAT)


def _models(query: dict[str, str]) -> ScriptedResponse:
    """List models. A page token is the number of models on the previous pages."""
    try:
        start, size = int(query.get("pageToken", 0)), int(query.get("pageSize", 50))
    except ValueError as error:
        return _error_answer(400, f"Invalid value: {error}")
    cards = [_model_card(name, methods) for name, methods in _MODELS.items()]
    page: Json = {"models": cards[start : start + size]}
    if start + size < len(cards):
        page["nextPageToken"] = str(start + size)
    return json_answer(page)


def _model_card(name: str, methods: tuple[str, ...]) -> Json:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": f"Simulated {name}",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": list(methods),
    }

"""Checks requests as Gemini does: rules for names, order and signatures, each violation a 400.

A rule checks the whole request and returns the first fault. The messages are Gemini's own, as far
as they are known.
"""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from addon.loopback.script import Json


class Fault(NamedTuple):
    message: str
    field: str = ""
    """The path in the request, if Gemini names it."""


Rule = Callable[[str, Json], Fault | None]
"""From the bare model name and the request body."""


def find_fault(model: str, body: Json) -> Fault | None:
    return next((fault for rule in _RULES if (fault := rule(model, body))), None)


# Generations


def _generation(model: str) -> tuple[int, int]:
    numbers = re.match(r"gemini-(\d+)(?:\.(\d+))?", model)
    # Names without a number, such as `gemini-flash-latest`, count as the newest generation.
    return (int(numbers[1]), int(numbers[2] or 0)) if numbers else (99, 0)


def checks_signatures(model: str) -> bool:
    """Whether the model signs its calls and requires the signatures back."""
    return _generation(model) >= (3, 0)


# Names

type _Names = dict[str, _Names | None]


def _names(text: str) -> _Names:
    return dict.fromkeys(text.split())


_CONTENT: _Names = {
    "role": None,
    "parts": {
        **_names("""text inlineData fileData executableCode codeExecutionResult toolCall
            toolResponse thought thoughtSignature mediaResolution videoMetadata partMetadata"""),
        "functionCall": _names("id name args"),
        "functionResponse": _names("id name response parts scheduling willContinue"),
    },
}
_REQUEST: _Names = {
    **_names("""tools toolConfig safetySettings cachedContent labels serviceTier store
        continuationToken"""),
    "contents": _CONTENT,
    "systemInstruction": _CONTENT,
    "generationConfig": _names("""temperature topP topK candidateCount maxOutputTokens
        stopSequences seed presencePenalty frequencyPenalty responseLogprobs logprobs
        responseMimeType responseSchema responseJsonSchema responseModalities speechConfig
        imageConfig mediaResolution thinkingConfig"""),
}


def _known_names(model: str, body: Json) -> Fault | None:
    return _unknown_name(body, _REQUEST, "")


def _unknown_name(value: Any, names: _Names, path: str) -> Fault | None:
    if isinstance(value, list):
        items = ((item, names, f"{path}[{index}]") for index, item in enumerate(value))
    else:
        if unknown := [name for name in value if name not in names]:
            location = f" at '{path}'" if path else ""
            text = f'Unknown name "{unknown[0]}"{location}: Cannot find field.'
            return Fault(f"Invalid JSON payload received. {text}", path)
        items = (
            (value[name], below, f"{path}.{name}".lstrip("."))
            for name, below in names.items()
            if below and name in value
        )
    return next((fault for item in items if (fault := _unknown_name(*item))), None)


# Order

_CALL_TURN = (
    "Please ensure that function call turn comes immediately after a user turn "
    "or after a function response turn."
)
_RESPONSE_TURN = (
    "Please ensure that function response turn comes immediately after a function call turn."
)
_COUNT = (
    "Please ensure that the number of function response parts is equal to the number of "
    "function call parts of the function call turn."
)
_FORBIDDEN = {
    ("start", "model"): _CALL_TURN,
    ("start", "call"): _CALL_TURN,
    ("model", "call"): _CALL_TURN,
    ("call", "call"): _CALL_TURN,
    ("start", "response"): _RESPONSE_TURN,
    ("user", "response"): _RESPONSE_TURN,
    ("model", "response"): _RESPONSE_TURN,
    ("response", "response"): _RESPONSE_TURN,
    ("call", "user"): _COUNT,
    ("call", "model"): _COUNT,
    ("call", "end"): _COUNT,
}
"""Forbidden pairs of consecutive contents, and Gemini's message for each."""


def _kind(content: Json) -> str:
    if _calls(content):
        return "call"
    return "response" if _responses(content) else str(content.get("role", "user"))


def _calls(content: Json) -> list[Json]:
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def _responses(content: Json) -> list[Json]:
    return [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]


def _not_empty(model: str, body: Json) -> Fault | None:
    if not body.get("contents"):
        message = "* GenerateContentRequest.contents: contents is not specified"
        return Fault(message, "contents")
    for index, content in enumerate(body["contents"]):
        if not content.get("parts"):
            field = f"contents[{index}].parts"
            message = f"* GenerateContentRequest.{field}: contents.parts must not be empty."
            return Fault(message, field)
    return None


def _roles(model: str, body: Json) -> Fault | None:
    if {content.get("role", "user") for content in body["contents"]} <= {"user", "model"}:
        return None
    return Fault("Please use a valid role: user, model.")


def _order(model: str, body: Json) -> Fault | None:
    kinds = ["start", *map(_kind, body["contents"]), "end"]
    messages = (_FORBIDDEN[pair] for pair in pairwise(kinds) if pair in _FORBIDDEN)
    return next(map(Fault, messages), None)


def _ending(model: str, body: Json) -> Fault | None:
    if _generation(model) >= (3, 5) and body["contents"][-1].get("role") == "model":
        return Fault("Requests ending with a model turn are not supported.")
    return None


# Calls and responses (`_order` runs first)


def _pairs(model: str, body: Json) -> Fault | None:
    for call_turn, response_turn in pairwise(body["contents"]):
        calls, responses = _calls(call_turn), _responses(response_turn)
        if calls and (message := _mismatch(calls, responses)):
            return Fault(message)
    return None


def _mismatch(calls: list[Json], responses: list[Json]) -> str | None:
    if len(calls) != len(responses):
        return _COUNT
    if _tally(calls, "id") != _tally(responses, "id"):
        return "functionResponse.id does not match functionCall.id"
    if _tally(calls, "name") != _tally(responses, "name"):
        # The refusal is reported; the wording is unverified.
        return "functionResponse.name does not match functionCall.name"
    if not all(isinstance(response.get("response"), dict) for response in responses):
        return "Invalid value at 'function_response.response': Proto field is not an object."
    return None


def _tally(values: list[Json], key: str) -> Counter[str | None]:
    return Counter(value.get(key) for value in values)


# Signatures

_SIGNATURE_PREFIX = b"simulated signature #"
"""21 bytes, a multiple of 3: it is a prefix in base64, too."""
_PLACEHOLDERS = (b"skip_thought_signature_validator", b"context_engineering_is_the_way_to_go")
_ACCEPTED = (
    b64encode(_SIGNATURE_PREFIX).decode(),
    *(placeholder.decode() for placeholder in _PLACEHOLDERS),
    # Clients that treat signatures as bytes send it encoded.
    b64encode(_PLACEHOLDERS[0]).decode(),
)


def sign(serial: int) -> str:
    """Make a signature that `find_fault` accepts."""
    return b64encode(b"%b%d" % (_SIGNATURE_PREFIX, serial)).decode()


def _signatures(model: str, body: Json) -> Fault | None:
    if not checks_signatures(model):
        return None
    # Only the current turn is checked: back to the last user content that is not a result.
    for content in reversed(body["contents"]):
        if _kind(content) == "user":
            return None
        signatures = [
            part.get("thoughtSignature") for part in content["parts"] if "functionCall" in part
        ]
        # Only the first of parallel calls is signed.
        if signatures and not signatures[0]:
            return Fault("Function call is missing a thought_signature in functionCall parts.")
        if not all(signature.startswith(_ACCEPTED) for signature in signatures if signature):
            return Fault("Corrupted thought signature.")
    return None


_RULES: tuple[Rule, ...] = (
    _known_names,
    _not_empty,
    _roles,
    _order,
    _pairs,
    _ending,
    _signatures,
)
"""In this order, as later rules rely on the earlier ones."""

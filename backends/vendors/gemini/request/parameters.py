"""Converts the parameters of a chat request to Gemini's generation config and top-level fields.

Parameters that Gemini does not know are dropped: silently if the response stays the same, else
with a warning. Only a parameter whose loss changes the meaning of the request is an error. Coding
agents send every parameter they know, and an error ends their session.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backends import jsonio
from backends.errors import ApiError, bad_request
from backends.jsonio import Json, Warnings, fields, number, objects, string
from backends.vendors.gemini.generations import MAX_OUTPUT_TOKENS, Model
from backends.vendors.gemini.request.tools import Toolbox
from backends.vendors.gemini.schema.schema import Budget
from backends.vendors.gemini.schema.schema_format import SchemaFormat
from backends.vendors.gemini.wire import Part

MAX_STOPS = 5
LITTLE_OUTPUT = 2048
"""Below this limit the thoughts, which count too, may leave no tokens for the text."""

MAX_SEED = 0x7FFF_FFFF

# API documentation, "Speech generation".
_VOICES = re.compile(
    "Zephyr|Puck|Charon|Kore|Fenrir|Leda|Orus|Aoede|Callirrhoe|Autonoe|Enceladus|Iapetus|Umbriel"
    "|Algieba|Despina|Erinome|Algenib|Rasalgethi|Laomedeia|Achernar|Alnilam|Schedar|Gacrux"
    "|Pulcherrima|Achird|Zubenelgenubi|Vindemiatrix|Sadachbia|Sadaltager|Sulafat"
)

_MODALITIES = frozenset({"TEXT", "IMAGE", "AUDIO"})

_TIERS = {"flex": "flex", "priority": "priority", "default": "standard"}


@dataclass(slots=True)
class Parameters:
    """The converted parameters, and what the readers below need."""

    model: Model
    toolbox: Toolbox
    schema_format: SchemaFormat
    budget: Budget
    warnings: Warnings
    has_minimal_level: bool
    config: Json = field(default_factory=dict)
    """The generation config."""
    top: Json = field(default_factory=dict)
    """Top-level fields of the request."""
    system: list[Part] = field(default_factory=list)
    """System instructions that replace a parameter."""

    def warn(self, param: str, reason: str = "not supported by this model") -> None:
        self.warnings.append(f"{param}={reason}")


def read_parameters(
    chat: Json,
    model: Model,
    toolbox: Toolbox,
    schema_format: SchemaFormat,
    budget: Budget,
    warnings: Warnings,
    *,
    has_minimal_level: bool = True,
) -> Parameters:
    """Convert everything but messages and tools. Raises ApiError (400) for bad values."""
    parameters = Parameters(model, toolbox, schema_format, budget, warnings, has_minimal_level)
    for param, read in _READERS.items():
        if chat.get(param) is not None:
            read(parameters, param, chat[param])
    _read_output_limit(parameters, chat)
    _read_thinking(parameters, chat)
    _read_google(parameters, chat)
    return parameters


# One reader for each parameter


def _sampling(name: str) -> Callable[[Parameters, str, Any], None]:
    def read(parameters: Parameters, param: str, value: Any) -> None:
        if number(value) is None:
            raise bad_request(f"'{param}' must be a number", param)
        if parameters.model.generation.takes_sampling:
            parameters.config[name] = value
        else:
            parameters.warn(param, "ignored by this model")

    return read


def _upper(value: object) -> str:
    return str(value).upper()


def _list(param: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"'{param}' must be a list", param)
    return value


def _read_count(parameters: Parameters, param: str, value: Any) -> None:
    """Newer models: "Multiple candidates is not enabled for this model" (issue reports)."""
    if value == 1:
        return
    if not isinstance(value, int) or not parameters.model.generation.takes_candidates:
        message = f"n > 1 is not supported by {parameters.model.name}"
        raise ApiError(400, message, param=param, code="unsupported_value")
    parameters.config["candidateCount"] = value


def _read_stop(parameters: Parameters, param: str, value: Any) -> None:
    stops = list(filter(string, _list(param, [value] if isinstance(value, str) else value)))
    if len(stops) > MAX_STOPS:
        parameters.warn(param, f"only the first {MAX_STOPS} are sent")
    if stops:
        parameters.config["stopSequences"] = stops[:MAX_STOPS]


def _read_seed(parameters: Parameters, param: str, value: Any) -> None:
    if isinstance(value, int):
        parameters.config["seed"] = value & MAX_SEED


def _drop_with_warning(parameters: Parameters, param: str, value: Any) -> None:
    """Drop a parameter; a value without effect, such as a penalty of 0, needs no warning.

    Current models refuse these: "Penalty is not enabled for this model", "Logprobs is not enabled
    for this model" (issue reports).
    """
    if value:
        parameters.warn(param)


def _read_modalities(parameters: Parameters, param: str, value: Any) -> None:
    modalities = [each for each in map(_upper, _list(param, value)) if each in _MODALITIES]
    if "AUDIO" in modalities:
        if "-tts" not in parameters.model.name:
            raise ApiError(400, "this model cannot speak", param=param, code="unsupported_value")
        modalities = ["AUDIO"]  # speech models write no text
    if set(modalities) - {"TEXT"}:
        parameters.config["responseModalities"] = modalities


def _read_audio(parameters: Parameters, param: str, value: Any) -> None:
    voice = fields(value).get("voice")
    if "-tts" not in parameters.model.name or voice is None:
        return
    if not _VOICES.fullmatch(str(voice)):
        parameters.warn("audio.voice", f"Gemini has no voice {voice}")
        return
    voice_config = {"prebuiltVoiceConfig": {"voiceName": voice}}
    parameters.config["speechConfig"] = {"voiceConfig": voice_config}


def _read_tier(parameters: Parameters, param: str, value: Any) -> None:
    """Send explicit tiers only: "auto" must not become the more expensive tier."""
    if tier := _TIERS.get(str(value)):
        parameters.top["serviceTier"] = tier


def _read_format(parameters: Parameters, param: str, value: Any) -> None:
    """Request JSON output. Where it conflicts with functions, the functions win."""
    kind = fields(value).get("type")
    if kind not in ("text", "json_object", "json_schema"):
        message = f"unsupported response_format type {kind!r}"
        raise ApiError(400, message, param=param, code="unsupported_value")
    if kind == "text":
        return
    schema = fields(fields(value.get("json_schema")).get("schema"))
    constraint = parameters.schema_format.response(schema, parameters.budget) if schema else {}
    if not parameters.toolbox.tools or (
        parameters.model.generation.mixes_tools and parameters.toolbox.mode != "ANY"
    ):
        parameters.config |= {"responseMimeType": "application/json", **constraint}
        return
    parameters.warn(param, "not together with functions on this model")
    if parameters.toolbox.mode != "ANY":
        text = "Give your final answer as JSON only."
        for each in constraint.values():
            text += f" It must follow this JSON Schema: {jsonio.encode(each).decode()}"
        parameters.system.append({"text": text})


_READERS: Mapping[str, Callable[[Parameters, str, Any], None]] = {
    "temperature": _sampling("temperature"),
    "top_p": _sampling("topP"),
    "top_k": _sampling("topK"),
    "n": _read_count,
    "stop": _read_stop,
    "seed": _read_seed,
    "presence_penalty": _drop_with_warning,
    "frequency_penalty": _drop_with_warning,
    "logprobs": _drop_with_warning,
    "top_logprobs": _drop_with_warning,
    "logit_bias": _drop_with_warning,
    "modalities": _read_modalities,
    "audio": _read_audio,
    "service_tier": _read_tier,
    "response_format": _read_format,
}
"""All other parameters are read below, or have no effect in Gemini and are dropped."""


def _read_output_limit(parameters: Parameters, chat: Json) -> None:
    param = "max_completion_tokens"
    if chat.get(param) is None:
        param = "max_tokens"
    limit = chat.get(param)
    if limit is None:
        return
    if not isinstance(limit, int) or limit < 1:
        raise bad_request(f"'{param}' must be a positive integer", param)
    if limit > MAX_OUTPUT_TOKENS:
        parameters.warn(param, f"at most {MAX_OUTPUT_TOKENS}")
    parameters.config["maxOutputTokens"] = min(limit, MAX_OUTPUT_TOKENS)


def _read_thinking(parameters: Parameters, chat: Json) -> None:
    """OpenAI's `reasoning_effort` or OpenRouter's `reasoning.effort`; by default the model's."""
    reasoning = fields(chat.get("reasoning"))
    effort = chat.get("reasoning_effort") or reasoning.get("effort")
    if effort is None and parameters.config.get("maxOutputTokens", LITTLE_OUTPUT) < LITTLE_OUTPUT:
        effort = "none"
    if not parameters.model.generation.has_thinking:
        return
    if effort is None:
        if reasoning.get("summary"):  # of the Responses API
            parameters.config["thinkingConfig"] = {"includeThoughts": True}
        return
    config = parameters.model.thinking_config(
        str(effort), has_minimal_level=parameters.has_minimal_level
    )
    if config:
        parameters.config["thinkingConfig"] = config
    else:
        parameters.warn("reasoning_effort", f"{effort} is unknown")


# Google's own parameters, as in its OpenAI-compatible API

_THINKING: tuple[tuple[str, str, type], ...] = (
    ("thinking_budget", "thinkingBudget", int),
    ("thinking_level", "thinkingLevel", str),
    ("include_thoughts", "includeThoughts", bool),
)


def _read_google(parameters: Parameters, chat: Json) -> None:
    """Read `google`, at the top level or in `extra_body`, which SDKs unwrap once."""
    google = fields(chat.get("google") or fields(chat.get("extra_body")).get("google"))
    thinking = google.get("thinking_config")
    if isinstance(thinking, dict) and parameters.model.generation.has_thinking:
        parameters.config["thinkingConfig"] = _thinking_config(parameters, thinking)
    if cache := string(google.get("cached_content")):
        parameters.top["cachedContent"] = cache
    if settings := objects(google.get("safety_settings")):
        parameters.top["safetySettings"] = [
            {key: value for key in ("category", "threshold") if (value := string(each.get(key)))}
            for each in settings
        ]


def _thinking_config(parameters: Parameters, thinking: Json) -> Json:
    config = {
        ours: thinking[name]
        for name, ours, type in _THINKING
        if isinstance(thinking.get(name), type)
    }
    if {"thinkingBudget", "thinkingLevel"} <= config.keys():
        # "You can only set only one of thinking budget and thinking level" (seen on the wire).
        del config["thinkingBudget" if parameters.model.generation.has_levels else "thinkingLevel"]
    return config

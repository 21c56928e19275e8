"""The parameters of a chat request as Gemini's generation config and its neighbours.

What Gemini does not know is left out: silently where the answer stays the same, with a warning
where it does not, and as an error only where the request would come to mean something else. A
coding agent sends everything it knows, and an error ends its session.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backends import jsonio
from backends.errors import ApiError, bad_request
from backends.jsonio import Json, Warnings, objects, string
from backends.vendors.gemini.generations import MAX_OUTPUT_TOKENS, Model
from backends.vendors.gemini.request.tools import Toolbox
from backends.vendors.gemini.schema.schema_format import SchemaFormat
from backends.vendors.gemini.wire import Part

MAX_STOPS = 5
LITTLE_OUTPUT = 2048
"""With fewer tokens than this the thoughts, which count too, may leave none for the answer."""

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
    """What becomes of a request's parameters. `config` is the generation config.

    `top` are fields beside it, and `system` is text that has to stand in for a parameter.
    """

    model: Model
    toolbox: Toolbox
    schema_format: SchemaFormat
    warnings: Warnings
    has_minimal_level: bool
    config: Json = field(default_factory=dict)
    top: Json = field(default_factory=dict)
    system: list[Part] = field(default_factory=list)

    def warn(self, param: str, reason: str = "not supported by this model") -> None:
        self.warnings.append(f"{param}={reason}")


def read_parameters(
    chat: Json,
    model: Model,
    toolbox: Toolbox,
    schema_format: SchemaFormat,
    warnings: Warnings,
    *,
    has_minimal_level: bool = True,
) -> Parameters:
    """Everything in a chat request but messages and tools; ApiError 400 if it cannot be served."""
    made = Parameters(model, toolbox, schema_format, warnings, has_minimal_level)
    for param, read in _READERS.items():
        if chat.get(param) is not None:
            read(made, param, chat[param])
    _read_output_limit(made, chat)
    _read_thinking(made, chat)
    _read_google(made, chat)
    return made


# One reader a parameter


def _sampling(name: str) -> Callable[[Parameters, str, Any], None]:
    def read(made: Parameters, param: str, value: Any) -> None:
        if not isinstance(value, int | float):
            raise bad_request(f"'{param}' must be a number", param)
        if made.model.generation.takes_sampling:
            made.config[name] = value
        else:
            made.warn(param, "ignored by this model")

    return read


def _upper(value: object) -> str:
    return str(value).upper()


def _list(param: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"'{param}' must be a list", param)
    return value


def _read_count(made: Parameters, param: str, value: Any) -> None:
    """Newer models answer "Multiple candidates is not enabled for this model" (issue reports)."""
    if value == 1:
        return
    if not isinstance(value, int) or not made.model.generation.takes_candidates:
        message = f"n > 1 is not supported by {made.model.name}"
        raise ApiError(400, message, param=param, code="unsupported_value")
    made.config["candidateCount"] = value


def _read_stop(made: Parameters, param: str, value: Any) -> None:
    stops = list(filter(string, _list(param, [value] if isinstance(value, str) else value)))
    if len(stops) > MAX_STOPS:
        made.warn(param, f"only the first {MAX_STOPS} are sent")
    if stops:
        made.config["stopSequences"] = stops[:MAX_STOPS]


def _read_seed(made: Parameters, param: str, value: Any) -> None:
    if isinstance(value, int):
        made.config["seed"] = value & MAX_SEED


def _drop_with_warning(made: Parameters, param: str, value: Any) -> None:
    """Values that ask for nothing, such as a penalty of 0, go silently.

    Current models refuse what is dropped here: "Penalty is not enabled for this model", "Logprobs
    is not enabled for this model" (issue reports).
    """
    if value:
        made.warn(param)


def _read_modalities(made: Parameters, param: str, value: Any) -> None:
    modalities = [each for each in map(_upper, _list(param, value)) if each in _MODALITIES]
    if "AUDIO" in modalities:
        if "-tts" not in made.model.name:
            raise ApiError(400, "this model cannot speak", param=param, code="unsupported_value")
        modalities = ["AUDIO"]  # a model that speaks writes nothing
    if set(modalities) - {"TEXT"}:
        made.config["responseModalities"] = modalities


def _read_audio(made: Parameters, param: str, value: Any) -> None:
    voice = value.get("voice") if isinstance(value, dict) else None
    if "-tts" not in made.model.name or voice is None:
        return
    if not _VOICES.fullmatch(str(voice)):
        made.warn("audio.voice", f"Gemini has no voice {voice}")
        return
    voice_config = {"prebuiltVoiceConfig": {"voiceName": voice}}
    made.config["speechConfig"] = {"voiceConfig": voice_config}


def _read_tier(made: Parameters, param: str, value: Any) -> None:
    """Only what was asked for by name: "auto" must not turn into the dearer tier."""
    if tier := _TIERS.get(str(value)):
        made.top["serviceTier"] = tier


def _read_format(made: Parameters, param: str, value: Any) -> None:
    """JSON output. Where it cannot go with functions, these stay."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        message = f"unsupported response_format type {kind!r}"
        raise ApiError(400, message, param=param, code="unsupported_value")
    if kind == "text":
        return
    holder = value.get("json_schema")
    schema = holder.get("schema") if isinstance(holder, dict) else None
    fields = made.schema_format.response(schema) if isinstance(schema, dict) and schema else {}
    if not made.toolbox.tools or (made.model.generation.mixes_tools and made.toolbox.mode != "ANY"):
        made.config |= {"responseMimeType": "application/json", **fields}
        return
    made.warn(param, "not together with functions on this model")
    if made.toolbox.mode != "ANY":
        text = "Give your final answer as JSON only."
        for each in fields.values():
            text += f" It must follow this JSON Schema: {jsonio.encode(each).decode()}"
        made.system.append({"text": text})


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
"""All others are read below, or mean nothing to Gemini and are dropped."""


def _read_output_limit(made: Parameters, chat: Json) -> None:
    param = "max_completion_tokens"
    if chat.get(param) is None:
        param = "max_tokens"
    limit = chat.get(param)
    if limit is None:
        return
    if not isinstance(limit, int) or limit < 1:
        raise bad_request(f"'{param}' must be a positive integer", param)
    if limit > MAX_OUTPUT_TOKENS:
        made.warn(param, f"at most {MAX_OUTPUT_TOKENS}")
    made.config["maxOutputTokens"] = min(limit, MAX_OUTPUT_TOKENS)


def _read_thinking(made: Parameters, chat: Json) -> None:
    """OpenAI's effort, or OpenRouter's `reasoning.effort`; none of them: the model's default."""
    given = chat.get("reasoning")
    reasoning = given if isinstance(given, dict) else {}
    effort = chat.get("reasoning_effort") or reasoning.get("effort")
    if effort is None and made.config.get("maxOutputTokens", LITTLE_OUTPUT) < LITTLE_OUTPUT:
        effort = "none"
    if not made.model.generation.has_thinking:
        return
    if effort is None:
        if reasoning.get("summary"):  # of the Responses API
            made.config["thinkingConfig"] = {"includeThoughts": True}
        return
    config = made.model.thinking_config(str(effort), has_minimal_level=made.has_minimal_level)
    if config:
        made.config["thinkingConfig"] = config
    else:
        made.warn("reasoning_effort", f"{effort} is unknown")


# Google's own parameters, in the form of its OpenAI layer

_THINKING: tuple[tuple[str, str, type], ...] = (
    ("thinking_budget", "thinkingBudget", int),
    ("thinking_level", "thinkingLevel", str),
    ("include_thoughts", "includeThoughts", bool),
)


def _read_google(made: Parameters, chat: Json) -> None:
    """`google`, at the top or in `extra_body`, one level of which SDKs take away."""
    extra = chat.get("extra_body")
    google = chat.get("google") or (extra.get("google") if isinstance(extra, dict) else None)
    if not isinstance(google, dict):
        return
    thinking = google.get("thinking_config")
    if isinstance(thinking, dict) and made.model.generation.has_thinking:
        made.config["thinkingConfig"] = _thinking_config(made, thinking)
    if cache := string(google.get("cached_content")):
        made.top["cachedContent"] = cache
    if settings := objects(google.get("safety_settings")):
        made.top["safetySettings"] = [
            {key: value for key in ("category", "threshold") if (value := string(each.get(key)))}
            for each in settings
        ]


def _thinking_config(made: Parameters, given: Json) -> Json:
    config = {
        ours: given[name] for name, ours, type in _THINKING if isinstance(given.get(name), type)
    }
    if {"thinkingBudget", "thinkingLevel"} <= config.keys():
        # "You can only set only one of thinking budget and thinking level" (seen on the wire).
        del config["thinkingBudget" if made.model.generation.has_levels else "thinkingLevel"]
    return config

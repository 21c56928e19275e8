"""Parameters of a chat request: values sent, values dropped, warnings and errors."""

from typing import Any

import pytest

from backends.errors import ApiError
from tests.backends.vendors.gemini.asking import USER, ask, body_of, function
from tests.backends.vendors.gemini.validation import Json

G2, G3A, G3B, G4 = "gemini-2.5-flash", "gemini-3-flash", "gemini-3.5-flash", "gemini-4-pro"
IGNORED = "ignored by this model"
UNSUPPORTED = "not supported by this model"
SCHEMA: Json = {"type": "object", "properties": {"a": {"const": 1, "title": "A"}}}
CLEAN: Json = {"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}}
AS_SCHEMA: Json = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
AS_OBJECT: Json = {"type": "json_object"}
JSON = {"responseMimeType": "application/json"}

# name: (model, parameters, generation config, warnings)
CONFIGS: dict[str, tuple[str, Json, Json, tuple[str, ...]]] = {
    "nothing": (G2, {}, {}, ()),
    "nulls": (G2, {"temperature": None, "stop": None, "n": None, "max_tokens": None}, {}, ()),
    "sampling": (
        G2,
        {"temperature": 0, "top_p": 0.9, "top_k": 40},
        {"temperature": 0, "topP": 0.9, "topK": 40},
        (),
    ),
    "sampling, 3": (G3A, {"temperature": 0}, {}, (f"temperature={IGNORED}",)),
    "sampling, 4": (G4, {"top_p": 1}, {}, (f"top_p={IGNORED}",)),
    "one": (G4, {"n": 1}, {}, ()),
    "two": (G2, {"n": 2}, {"candidateCount": 2}, ()),
    "stop": (G2, {"stop": "x"}, {"stopSequences": ["x"]}, ()),
    "stops": (G4, {"stop": ["a", "", "b"]}, {"stopSequences": ["a", "b"]}, ()),
    "no stops": (G4, {"stop": [""]}, {}, ()),
    "too many stops": (
        G2,
        {"stop": list("abcdef")},
        {"stopSequences": list("abcde")},
        ("stop=only the first 5 are sent",),
    ),
    "limit": (G2, {"max_tokens": 4000}, {"maxOutputTokens": 4000}, ()),
    "newer limit wins": (
        G2,
        {"max_tokens": 4000, "max_completion_tokens": 5000},
        {"maxOutputTokens": 5000},
        (),
    ),
    "high limit": (
        G4,
        {"max_completion_tokens": 100_000},
        {"maxOutputTokens": 65_536},
        ("max_completion_tokens=at most 65536",),
    ),
    "low limit": (
        G2,
        {"max_tokens": 100},
        {"maxOutputTokens": 100, "thinkingConfig": {"thinkingBudget": 0}},
        (),
    ),
    "low limit, but effort": (
        G4,
        {"max_tokens": 100, "reasoning_effort": "high"},
        {
            "maxOutputTokens": 100,
            "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
        },
        (),
    ),
    "penalties": (
        G2,
        {"presence_penalty": 0.5, "frequency_penalty": 0},
        {},
        (f"presence_penalty={UNSUPPORTED}",),
    ),
    "seed": (G2, {"seed": -1}, {"seed": 0x7FFF_FFFF}, ()),
    "logprobs": (
        G2,
        {"logprobs": True, "top_logprobs": 3},
        {},
        (f"logprobs={UNSUPPORTED}", f"top_logprobs={UNSUPPORTED}"),
    ),
    "no logprobs": (G2, {"logprobs": False, "top_logprobs": 0, "logit_bias": {}}, {}, ()),
    "logit bias": (G2, {"logit_bias": {"5": 1}}, {}, (f"logit_bias={UNSUPPORTED}",)),
    "effort of OpenRouter": (
        G4,
        {"reasoning": {"effort": "medium"}},
        {"thinkingConfig": {"thinkingLevel": "MEDIUM", "includeThoughts": True}},
        (),
    ),
    "summary without effort": (
        G4,
        {"reasoning": {"summary": "auto"}},
        {"thinkingConfig": {"includeThoughts": True}},
        (),
    ),
    "unknown effort": (
        G4,
        {"reasoning_effort": "heroic"},
        {},
        ("reasoning_effort=heroic is unknown",),
    ),
    "effort without thinking": ("gemma-3-27b-it", {"reasoning_effort": "high"}, {}, ()),
    "text": (G2, {"modalities": ["text"], "response_format": {"type": "text"}}, {}, ()),
    "pictures": (
        "gemini-2.5-flash-image",
        {"modalities": ["text", "image"]},
        {"responseModalities": ["TEXT", "IMAGE"]},
        (),
    ),
    "speech": (
        "gemini-2.5-flash-preview-tts",
        {"modalities": ["text", "audio"], "audio": {"voice": "Kore", "format": "wav"}},
        {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
        (),
    ),
    "foreign voice": (
        "gemini-2.5-flash-preview-tts",
        {"audio": {"voice": "alloy"}},
        {},
        ("audio.voice=Gemini has no voice alloy",),
    ),
    "JSON": (G2, {"response_format": AS_OBJECT}, JSON, ()),
    "JSON by schema": (
        G4,
        {"response_format": AS_SCHEMA},
        {**JSON, "responseJsonSchema": CLEAN},
        (),
    ),
    "schema without schema": (
        G4,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        JSON,
        (),
    ),
    "what does not matter": (
        G4,
        {
            "user": "u",
            "metadata": {"a": "b"},
            "store": True,
            "prediction": {},
            "verbosity": "low",
            "prompt_cache_key": "k",
            "unknown_thing": [1],
            "stream_options": {"include_obfuscation": False},
        },
        {},
        (),
    ),
    "Google's thinking": (
        G2,
        {
            "reasoning_effort": "low",
            "google": {"thinking_config": {"thinking_budget": 5, "include_thoughts": True, "x": 1}},
        },
        {"thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}},
        (),
    ),
    "both kinds of thinking": (
        G4,
        {
            "extra_body": {
                "google": {"thinking_config": {"thinking_budget": 5, "thinking_level": "HIGH"}}
            }
        },
        {"thinkingConfig": {"thinkingLevel": "HIGH"}},
        (),
    ),
}


@pytest.mark.parametrize(
    ("model", "parameters", "config", "warnings"), CONFIGS.values(), ids=CONFIGS
)
def test_config(model: str, parameters: Json, config: Json, warnings: tuple[str, ...]) -> None:
    call = ask(model=model, **parameters)
    body = body_of(call)
    assert body.get("generationConfig", {}) == config
    assert call.warnings == warnings
    assert body.keys() <= {"contents", "generationConfig"}


F = function("f")
INSTRUCTION = "Give your final answer as JSON only."


@pytest.mark.parametrize(
    ("model", "format", "choice", "config", "system"),
    [
        (G2, AS_OBJECT, None, {}, INSTRUCTION),
        (G2, AS_SCHEMA, "auto", {}, f"{INSTRUCTION} It must follow this JSON Schema: {{"),
        (G2, AS_SCHEMA, "required", {}, None),
        (G4, AS_OBJECT, None, JSON, None),
        (G4, AS_OBJECT, "none", JSON, None),
        (G4, AS_OBJECT, "required", {}, None),
    ],
)
def test_json_together_with_functions(
    model: str, format: Json, choice: str | None, config: Json, system: str | None
) -> None:
    call = ask(model=model, tools=[F], response_format=format, tool_choice=choice)
    body = body_of(call)
    assert body["tools"]
    assert body.get("generationConfig", {}) == config
    assert bool(call.warnings) == (not config)
    text = body["systemInstruction"]["parts"][0]["text"] if system else ""
    assert text.startswith(system or "")
    assert ("systemInstruction" in body) == bool(system)


@pytest.mark.parametrize(
    ("asked", "tier"),
    [("flex", "flex"), ("priority", "priority"), ("default", "standard"), ("auto", None)],
)
def test_service_tier(asked: str, tier: str | None) -> None:
    assert body_of(ask(service_tier=asked)).get("serviceTier") == tier


def test_safety_settings() -> None:
    setting = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}
    body = body_of(ask(google={"safety_settings": [{**setting, "x": 1}, "y"]}))
    assert body["safetySettings"] == [setting]


def test_cached_content_replaces_its_parts() -> None:
    system = {"role": "system", "content": "s"}
    google = {"cached_content": "cachedContents/x"}
    call = ask(system, USER, tools=[F], tool_choice="required", google=google)
    assert body_of(call).keys() == {"contents", "cachedContent"}
    assert call.warnings == (
        "cached_content=replaces systemInstruction",
        "cached_content=replaces tools",
        "cached_content=replaces toolConfig",
    )


REFUSED: list[tuple[str, Json, str, str]] = [
    (G4, {"n": 2}, "n", "n > 1 is not supported by gemini-4-pro"),
    (G2, {"n": "2"}, "n", "n > 1"),
    (G2, {"temperature": "hot"}, "temperature", "must be a number"),
    (G2, {"stop": 5}, "stop", "must be a list"),
    (G2, {"max_tokens": 0}, "max_tokens", "positive integer"),
    (G2, {"max_completion_tokens": "x"}, "max_completion_tokens", "positive integer"),
    (G2, {"modalities": ["audio"]}, "modalities", "cannot speak"),
    (G2, {"response_format": {"type": "grammar"}}, "response_format", "'grammar'"),
    (G2, {"response_format": "json"}, "response_format", "None"),
]


@pytest.mark.parametrize(("model", "parameters", "param", "says"), REFUSED)
def test_unsupported_values(model: str, parameters: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(model=model, **parameters)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert says in caught.value.message

"""Validates requests with Google's SDK, and completions and chunks with OpenAI's."""

import json
import re
import warnings
from typing import Any

from google.genai import types
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from addon.demo.simulator.gemini_rules import find_fault, sign

Json = dict[str, Any]

# Signatures in recordings and tests, which the simulator's rules do not accept.
RECORDED = re.compile("AY89a19[A-Za-z]|EqsFCqgFAb4\\+9vtN|c2lnbmVk|QUJD")

WITH_CHILDREN = {
    *("properties", "items", "anyOf", "additionalProperties", "$defs"),
    # Documented for `parametersJsonSchema`, but not in the SDK's class for it.
    *("prefixItems", "propertyOrdering"),
}

CHECKS: dict[str, Any] = {
    "contents": lambda value: [types.Content.model_validate(each) for each in value],
    "systemInstruction": types.Content.model_validate,
    "tools": lambda value: list(map(validate_tool, value)),
    "toolConfig": types.ToolConfig.model_validate,
    "safetySettings": lambda value: [types.SafetySetting.model_validate(each) for each in value],
    "generationConfig": lambda value: validate_config(value),
    "cachedContent": str,
    "serviceTier": types.ServiceTier,
}


def validate_request(body: Json, model: str = "gemini-2.5-pro") -> None:
    """Fail for fields that the SDK does not know, and for violations of the service's rules."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the SDK only warns of unknown enum values
        for name, value in body.items():
            CHECKS[name](value)
    rules = model if model.startswith("gemini-") else "gemini-2.5-pro"
    assert find_fault(rules, json.loads(RECORDED.sub(sign(0), json.dumps(body)))) is None
    assert not list(nulls(body))


def validate_tool(tool: Json) -> None:
    types.Tool.model_validate(tool)
    for declaration in tool.get("functionDeclarations", ()):
        assert not {"parameters", "parametersJsonSchema"} <= declaration.keys()
        if "parametersJsonSchema" in declaration:
            validate_json_schema(declaration["parametersJsonSchema"])


def validate_config(config: Json) -> None:
    types.GenerationConfig.model_validate(config)
    if "responseJsonSchema" in config:
        validate_json_schema(config["responseJsonSchema"])


def validate_json_schema(schema: Json) -> None:
    """Validate each node: below some keywords the SDK's class allows anything."""
    children: list[Any] = []
    for key in ("prefixItems", "anyOf"):
        children += schema.get(key, ())
    for key in ("properties", "$defs"):
        children += schema.get(key, {}).values()
    children += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    assert "$ref" not in schema or all(key.startswith("$") for key in schema)
    own = {key: value for key, value in schema.items() if key not in WITH_CHILDREN}
    types.JSONSchema.model_validate(own)
    for child in children:
        if not isinstance(child, bool):
            validate_json_schema(child)


def nulls(value: object, path: str = "") -> Any:
    """The paths of nulls, except in arguments, results and enums, where null is a value."""
    if path.endswith((".args", ".response", ".enum", ".default")):
        return
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from nulls(each, f"{path}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from nulls(each, path)


def validate_completion(completion: Json) -> ChatCompletion:
    return ChatCompletion.model_validate(completion, strict=True)


def validate_chunk(chunk: Json) -> ChatCompletionChunk:
    return ChatCompletionChunk.model_validate(chunk, strict=True)

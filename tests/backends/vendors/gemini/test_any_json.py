"""Random requests and responses: invalid ones raise ApiError and nothing else."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings, strategies as st

from backends.backend import ModelRequest
from backends.errors import ApiError
from tests.backends.vendors.gemini.asking import KEY, MODELS, ask, body_of, make_gemini
from tests.backends.vendors.gemini.validation import Json, validate_request

SCALARS = st.none() | st.booleans() | st.integers(-5, 5)


def values(keys: list[str], strings: list[str]) -> st.SearchStrategy[Any]:
    """Any JSON with these keys and strings in it."""
    return st.recursive(
        SCALARS | st.sampled_from(["", "x", *strings]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=4)
        ),
        max_leaves=12,
    )


def objects(value: st.SearchStrategy[Any], *keys: str) -> st.SearchStrategy[Json]:
    """An object with any of these keys."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, value))


ANSWER_KEYS = """text thought thoughtSignature functionCall name args id inlineData mimeType data
    parts content index finishReason code details groundingChunks groundingSupports segment endIndex
    groundingChunkIndices web uri title message violations retryDelay blockReason"""
ANSWER = values(ANSWER_KEYS.split(), ["STOP", "SAFETY", "image/png", "audio/L16", "5s"])
PART = objects(ANSWER, "text", "thought", "thoughtSignature", "functionCall", "inlineData")
CONTENT = st.fixed_dictionaries({}, optional={"parts": st.lists(PART, max_size=3) | ANSWER})
CANDIDATE = st.fixed_dictionaries(
    {},
    optional={
        "content": CONTENT | ANSWER,
        "index": ANSWER,
        "finishReason": ANSWER,
        "groundingMetadata": ANSWER,
    },
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(CANDIDATE, max_size=2) | ANSWER,
        "promptFeedback": ANSWER,
        "usageMetadata": ANSWER,
        "responseId": ANSWER,
        "error": ANSWER,
    },
)


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENT, max_size=3))
def test_any_answer(events: list[Json]) -> None:
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
    decoder = ask(stream=True).decoder()
    decoder.feed(body)
    decoder.finish()
    with suppress(ApiError):
        ask().read_response(body)


CHAT_KEYS = """role content tool_calls function_call name arguments id type text image_url url file
    input_audio file_data function custom tool_call_id extra_content google refusal json_schema
    schema parameters properties items mode tools allowed_tools voice effort format grammar"""
KINDS = "function custom text image_url allowed_tools json_schema file input_audio user tool"
CHAT = values(CHAT_KEYS.split(), [*KINDS.split(), "data:,x", "https://a.example/b"])
MESSAGE = objects(CHAT, *CHAT_KEYS.split())
ROLES = st.sampled_from(["user", "assistant", "tool", "system"])
PARAMETERS = """tools functions tool_choice function_call temperature n stop seed max_tokens audio
    modalities service_tier response_format reasoning reasoning_effort google extra_body logprobs
    stream_options web_search_options logit_bias parallel_tool_calls"""


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.lists(st.tuples(ROLES, MESSAGE), min_size=1, max_size=3),
    objects(CHAT, *PARAMETERS.split()),
)
def test_any_chat(model: str, given: list[tuple[str, Json]], parameters: Json) -> None:
    messages = [{**message, "role": role} for role, message in given]
    prompt = ModelRequest({**parameters, "messages": messages}, None, model, [], "s")
    with suppress(ApiError):
        validate_request(body_of(make_gemini().prepare(prompt, KEY)), model)

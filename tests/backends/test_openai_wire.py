"""Reading chat requests, and the shapes we make."""

import json

import pytest
from openai.types.chat import ChatCompletionChunk

from backends import openai_wire, sse
from backends.dialects.completions import read_completion
from backends.dialects.responses.dialect import Responses
from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"", None, "not valid JSON"),
        (b"{", None, "not valid JSON"),
        (b"[]", None, "must be a JSON object, not a list"),
        (b'"x"', None, "must be a JSON object, not a string"),
        (b"{}", "messages", "Missing required parameter"),
        (b'{"messages":null}', "messages", "not null"),
        (b'{"messages":{}}', "messages", "not an object"),
        (b'{"messages":[]}', "messages", "not an empty list"),
        (b'{"messages":[{},1]}', "messages[1]", "must be an object, not a number"),
        (b'{"messages":[{}],"model":3}', "model", "must be a string, not a number"),
        (b'{"messages":[{}],"model":true}', "model", "must be a string, not a boolean"),
        (b'{"messages":[{}],"model":"m\\ud83d"}', "model", "half of a surrogate pair"),
    ],
)
def test_bad_requests_say_what_is_wrong(body: bytes, param: str | None, says: str) -> None:
    with pytest.raises(ApiError, match=says) as caught:
        openai_wire.read_chat(body)
    error = caught.value.body()["error"]
    assert (caught.value.status, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param


MANY = openai_wire.MAX_VALUES + 1
READERS = {
    "messages": openai_wire.read_chat,
    "input": openai_wire.read_embeddings,
    "prompt": read_completion,
    "instructions": Responses(ResponseStore(), lambda: 0, lambda: "1"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "values", [b"{}," * MANY, b'"",' * MANY, b"[" * MANY], ids=["{}", '""', "["]
)
def test_the_values_of_a_request_are_limited(name: str, values: bytes) -> None:
    body = b'{"%s":[%s' % (name.encode(), values)  # and no end: it is never decoded
    with pytest.raises(ApiError, match="has more than 500000 JSON values") as caught:
        READERS[name](body)
    assert caught.value.status == 400


def test_brackets_and_commas_in_texts_do_not_count() -> None:
    text = '{[,"' * MANY
    assert openai_wire.read_chat(json.dumps({"messages": [{"content": text}]}).encode())


def test_unknown_fields_and_values_pass() -> None:
    body = b'{"x":1,"messages":[{"role":"robot","content":[{"type":"smell"}]}],"stream":1}'
    chat = openai_wire.read_chat(body)
    assert chat == json.loads(body)
    assert not openai_wire.is_stream(chat)


def test_a_completion_becomes_a_stream() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    completion = {
        "id": "gen-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {"role": "assistant", "content": "Hi", "tool_calls": [call, call]},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    *events, done = openai_wire.stream_of(completion)
    chunks = [ChatCompletionChunk.model_validate_json(sse.data_of(e) or b"") for e in events]
    assert done == openai_wire.DONE
    assert chunks[0].choices[0].delta.content == "Hi"
    assert [c.index for c in chunks[0].choices[0].delta.tool_calls or []] == [0, 1]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:2]] == [None, "tool_calls"]
    assert chunks[2].usage is not None
    assert chunks[2].usage.total_tokens == 3

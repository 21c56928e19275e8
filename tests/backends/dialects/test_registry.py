import pytest

from addon.endpoints.table import HostKind, match
from backends import jsonio
from backends.dialects.registry import DIALECTS, Dialect
from backends.errors import ApiError

REQUESTS = {
    "chat": b'{"messages": [{"role": "user", "content": "Hi"}]}',
    "completions": b'{"prompt": "Hi"}',
    "responses": b'{"input": "Hi"}',
}
COMPLETION = {
    "id": "x",
    "object": "chat.completion",
    "created": 5,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
}
EACH = pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))


def test_each_dialect_has_a_request_here() -> None:
    assert not DIALECTS.keys() - REQUESTS, "REQUESTS lacks a request of these dialects"


@EACH
def test_a_prompt_is_read_and_its_response_read_back(dialect: Dialect) -> None:
    read = dialect.make_reader(lambda: 5.0, lambda: "id")
    request = read(REQUESTS[dialect.name])
    assert request.chat["messages"] == [{"role": "user", "content": "Hi"}]
    response = jsonio.encode(request.render(COMPLETION))
    completion = (dialect.from_response or jsonio.decode)(response)
    assert completion is not None
    assert completion["choices"][0]["message"]["content"] == "Hello"


@EACH
@pytest.mark.parametrize("host_kind", [HostKind.PROXY, HostKind.LLM_HOST])
@pytest.mark.parametrize("prefix", ["", "/v1", "/api/v1", "/openai/deployments/x"])
def test_paths_lead_to_their_dialect(dialect: Dialect, host_kind: HostKind, prefix: str) -> None:
    found = match(f"{prefix}{dialect.path}?a=b", host_kind)
    assert found is not None
    assert found.endpoint.dialect is dialect


@EACH
def test_errors_have_a_body(dialect: Dialect) -> None:
    error = ApiError(429, "Slow down")
    assert "Slow down" in str(dialect.error_body(error))

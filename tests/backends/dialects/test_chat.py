"""The chat dialect: the identity, on bytes where it can be."""

from backends import sse
from backends.dialect import ClientRequest, Reader
from backends.dialects.chat import read_chat
from backends.errors import ApiError

BODY = b'{"messages": [{"role":"user","content":"hi"}], "x": 1.0}'


def test_everything_passes() -> None:
    read: Reader = read_chat
    request: ClientRequest = read(BODY)
    assert request.chat == {"messages": [{"role": "user", "content": "hi"}], "x": 1.0}
    assert request.body is BODY
    assert request.warnings == ()
    completion = {"choices": ["anything"]}
    assert request.render(completion) is completion


def test_a_stream_passes() -> None:
    encoder = read_chat(BODY).encoder()
    for raw in (b"data: {1}\r\n\r\n", b": comment\n\n"):
        assert encoder.chunk(raw) is raw
    assert encoder.done() == b"data: [DONE]\n\n"
    assert encoder.error(ApiError(502, "gone")).startswith(b'data: {"error":')
    assert sse.data_of(encoder.keep_alive()) is None

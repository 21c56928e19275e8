"""What OpenRouter gets, and how it lists its models."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from backends.backend import Headers, ModelRequest, UpstreamRequest
from backends.keys import Key
from backends.vendors.openrouter import OpenRouter

KEY = Key("OPENROUTER_API_KEY", "sk-or-secret")
BODY = b'{"model":"openrouter:a/b:free", "x":1.0,"messages":[{"role":"user","content":"\xc3\xa9"}]}'


def prepare(model: str | None, headers: Headers = [], **options: Any) -> UpstreamRequest:  # noqa: B006
    prompt = ModelRequest(json.loads(BODY), BODY, model, headers, "s")
    return OpenRouter("https://or.example/api/v1", **options).prepare(prompt, KEY).request


class TestRequest:
    def test_the_prefix_goes_and_all_else_stays(self) -> None:
        request = prepare("a/b:free")
        assert request.url == "https://or.example/api/v1/chat/completions"
        assert request.body == BODY.replace(b"openrouter:", b"")
        assert request.credential == ("authorization", "Bearer sk-or-secret")
        assert "sk-or-secret" not in repr(request)

    def test_an_unchanged_body_is_sent_as_it_came(self) -> None:
        assert prepare("openrouter:a/b:free").body is BODY

    @pytest.mark.parametrize(
        ("body", "sent"),
        [
            (
                b'{"messages":[], "model" : "or:x" , "n":1.0}',
                b'{"messages":[], "model" : "y" , "n":1.0}',
            ),
            (
                b'{"model":"or:x","s":"\\"model\\":\\"or:x\\""}',
                b'{"model":"y","s":"\\"model\\":\\"or:x\\""}',
            ),
            (b'{"a":{"model":"or:x"}, "model":"or:x"}', b'{"a":{"model":"or:x"},"model":"y"}'),
            (
                b'{"a":{"model":"or:x"}, "m\\u006fdel":"or:x"}',
                b'{"a":{"model":"or:x"},"model":"y"}',
            ),
            (b'{"model":"or:z", "model":"or:x"}', b'{"model":"y"}'),
            (b'{"a":"model", "model":"or:x"}', b'{"a":"model","model":"y"}'),
            (b'{"model":"or\\u003ax", "n":1}', b'{"model":"y","n":1}'),
            (b'{"n":1, "messages":[]}', b'{"n":1,"messages":[],"model":"y"}'),
        ],
    )
    def test_only_the_model_changes(self, body: bytes, sent: bytes) -> None:
        """Or the body is encoded again if the model's place is not certain."""
        prompt = ModelRequest(json.loads(body), body, "y", [], "s")
        assert OpenRouter("").prepare(prompt, KEY).request.body == sent

    @given(
        st.dictionaries(
            st.sampled_from(["a", "model", '"model"', "metadata"]),
            st.recursive(
                st.sampled_from(["or:x", "model", '"model":"or:x"', "é"]) | st.integers(),
                lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["model"]), inner),
                max_leaves=4,
            ),
        ),
        st.booleans(),
    )
    def test_nothing_but_the_model_changes(self, chat: dict[str, Any], is_ascii: bool) -> None:
        chat["model"] = "or:x"
        body = json.dumps(chat, ensure_ascii=is_ascii).encode()
        sent = OpenRouter("").prepare(ModelRequest(chat, body, "y", [], "s"), KEY).request.body
        assert json.loads(sent) == {**chat, "model": "y"}

    def test_a_changed_chat_is_written_anew(self) -> None:
        prompt = ModelRequest({"messages": []}, None, None, [], "s")
        assert OpenRouter("").prepare(prompt, KEY).request.body == b'{"messages":[]}'

    def test_only_headers_with_a_meaning_leave(self) -> None:
        sent = prepare(
            "m",
            [
                ("user-agent", "agent/1"),
                ("x-session-id", "s"),
                ("x-openrouter-cache", "true"),
                ("x-stainless-lang", "python"),
                ("openai-organization", "org"),
                ("accept-encoding", "br"),
                ("content-length", "3"),
                ("connection", "keep-alive"),
                ("x-title", "Agent"),
            ],
        ).headers
        assert sent == [
            ("user-agent", "agent/1"),
            ("x-session-id", "s"),
            ("x-openrouter-cache", "true"),
            ("x-title", "Agent"),
            ("content-type", "application/json"),
        ]

    def test_configured_attribution_replaces_the_client_s(self) -> None:
        client = [("http-referer", "https://a"), ("x-title", "A"), ("x-openrouter-title", "B")]
        sent = dict(prepare("m", client, site_url="https://me", app_title="Me").headers)
        assert sent["http-referer"] == "https://me"
        assert sent["x-openrouter-title"] == "Me"
        assert "x-title" not in sent


def test_models() -> None:
    body = {
        "data": [
            {
                "id": "a/b",
                "created": 5,
                "description": "long",
                "context_length": 10,
                "pricing": {"prompt": "0.1"},
            },
            {"id": None},
            "x",
        ]
    }
    models, page = OpenRouter("").read_models(json.dumps(body).encode())
    assert page is None
    assert list(models) == [
        {
            "id": "a/b",
            "object": "model",
            "created": 5,
            "owned_by": "a",
            "context_length": 10,
            "pricing": {"prompt": "0.1"},
        }
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":1}'])
def test_anything_else_is_not_a_model_list(body: bytes) -> None:
    with pytest.raises(ValueError, match="the model list of OpenRouter has no 'data' list"):
        OpenRouter("").read_models(body)

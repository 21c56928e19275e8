"""Thought signatures: from memory, from the client, or replaced."""

import json
from typing import Any

import pytest

from backends.vendors.gemini.backend.backend import Gemini
from backends.vendors.gemini.signatures import PLACEHOLDER, SignatureMemory, SignedCall
from tests.backends.vendors.gemini.asking import USER, ask, body_of, make_gemini, recorded, result
from tests.backends.vendors.gemini.validation import Json

MODEL = "gemini-3-pro"
OK: Json = {"output": "ok"}


def reply(gemini: Gemini, name: str, model: str = MODEL, session: str = "s") -> Json:
    """The message of a recorded response, without `extra_content`."""
    call = ask(gemini=gemini, model=model, session=session)
    message = call.read_response(recorded(name).body)["choices"][0]["message"]
    return without_extra(message)


def without_extra(message: Json) -> Json:
    calls = [
        {key: value for key, value in each.items() if key != "extra_content"}
        for each in message.get("tool_calls", ())
    ]
    kept = {key: value for key, value in message.items() if key not in ("extra_content", "refusal")}
    return kept | ({"tool_calls": calls} if calls else {})


def model_parts(*messages: Json, gemini: Gemini | None = None, **more: Any) -> list[Json]:
    contents = body_of(ask(*messages, gemini=gemini, **{"model": MODEL, **more}))["contents"]
    return [part for each in contents if each["role"] == "model" for part in each["parts"]]


def test_a_call_is_sent_back_unchanged() -> None:
    gemini = make_gemini()
    message = reply(gemini, "signed_call")
    assert message["tool_calls"][0]["id"] == "a1b2c3d4"
    body = body_of(ask(USER, message, result("a1b2c3d4"), gemini=gemini, model=MODEL))
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {
                        "id": "a1b2c3d4",
                        "name": "weather",
                        "args": {"location": "Oslo"},
                    },
                    "thoughtSignature": "AY89a19b",
                }
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "a1b2c3d4", "name": "weather", "response": OK}}],
        },
    ]


def test_parallel_calls_are_reordered() -> None:
    """Only the first call has a signature, so it must come first again."""
    gemini = make_gemini()
    message = reply(gemini, "parallel_calls")
    ids = [call["id"] for call in message["tool_calls"]]
    assert len(set(ids)) == 3
    message["tool_calls"].reverse()
    parts = model_parts(USER, message, *map(result, ids), gemini=gemini)
    names = [part["functionCall"]["name"] for part in parts]
    assert names == ["read_screen", "read_screen", "read_theme"]
    assert [part.get("thoughtSignature") for part in parts] == ["AY89a19Z", None, None]


def test_a_text_is_split_at_its_signatures() -> None:
    gemini = make_gemini()
    message = reply(gemini, "text")
    assert model_parts(USER, message, USER, gemini=gemini) == [
        {"text": "There are **3** r\u2019s in\u2028strawberry."},
        {"text": "", "thoughtSignature": "EqsFCqgFAb4+9vtN"},
    ]
    changed = {**message, "content": message["content"] + "!"}
    assert model_parts(USER, changed, USER, gemini=gemini) == [{"text": changed["content"]}]


def test_a_signed_piece_of_text() -> None:
    parts = [{"text": "a"}, {"text": "b", "thoughtSignature": "QUJD"}, {"text": "c"}]
    answer = {"candidates": [{"content": {"parts": parts}}]}
    gemini = make_gemini()
    call = ask(gemini=gemini, model=MODEL)
    message = call.read_response(json.dumps(answer).encode())["choices"][0]["message"]
    assert message["content"] == "abc"
    assert model_parts(USER, without_extra(message), USER, gemini=gemini) == parts


class TestSources:
    def call_message(self, extra: str | None = None) -> Json:
        message = reply(make_gemini(), "signed_call")
        if extra:
            message["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": extra}}
        return message

    def signature(self, gemini: Gemini, message: Json, **more: Any) -> str | None:
        [part] = model_parts(USER, message, result("a1b2c3d4"), gemini=gemini, **more)
        signature: str | None = part.get("thoughtSignature")
        return signature

    def test_unknown(self) -> None:
        assert self.signature(make_gemini(), self.call_message()) == PLACEHOLDER

    def test_from_the_client(self) -> None:
        assert self.signature(make_gemini(), self.call_message("c2lnbmVk")) == "c2lnbmVk"

    def test_the_memory_wins(self) -> None:
        gemini = make_gemini()
        reply(gemini, "signed_call")
        assert self.signature(gemini, self.call_message("c2lnbmVk")) == "AY89a19b"

    def test_another_session(self) -> None:
        gemini = make_gemini()
        reply(gemini, "signed_call", session="theirs")
        assert self.signature(gemini, self.call_message()) == PLACEHOLDER

    def test_another_generation(self) -> None:
        """Signatures are valid within a generation only, from memory or client."""
        gemini = make_gemini()
        reply(gemini, "signed_call")
        carried = self.call_message("AY89a19b")
        assert self.signature(gemini, carried, model="gemini-4-pro") == PLACEHOLDER
        assert self.signature(gemini, carried, model="gemini-2.5-pro") is None

    def test_the_text_of_a_client_that_carries_it(self) -> None:
        message: Json = {
            "role": "assistant",
            "content": "x",
            "extra_content": {"google": {"thought_signature": "c2lnbmVk"}},
        }
        assert model_parts(USER, message, USER) == [{"text": "x", "thoughtSignature": "c2lnbmVk"}]

    @pytest.mark.parametrize("extra", [None, "x", {"google": 3}, {"google": {}}])
    def test_other_extra_content(self, extra: Any) -> None:
        message = {"role": "assistant", "content": "x", "extra_content": extra}
        assert model_parts(USER, message, USER) == [{"text": "x"}]


def test_unusable_ids_are_replaced() -> None:
    def ids(*natives: Any, history: tuple[Json, ...] = ()) -> list[str]:
        parts = [{"functionCall": {"name": "f", "id": native}} for native in natives]
        answer = {"candidates": [{"content": {"parts": parts}}], "responseId": "R"}
        call = ask(USER, *history, model=MODEL)
        message = call.read_response(json.dumps(answer).encode())["choices"][0]["message"]
        return [each["id"] for each in message["tool_calls"]]

    assert ids("a1") == ["a1"]
    made = ids(None, "", "a b", "x" * 65, 7)
    assert all(len(id) == 29 and id.startswith("call_") for id in made)
    assert len(set(made)) == 5
    assert ids(None) == made[:1], "made from the answer, not at random"
    assert ids("a1", "a1")[0] == "a1"
    assert ids("a1", "a1")[1].startswith("call_")
    old = {"role": "assistant", "tool_calls": [{"id": "a1", "function": {"name": "f"}}]}
    assert ids("a1", history=(old, result("a1")))[0].startswith("call_")
    gemini = make_gemini()
    assert reply(gemini, "signed_call")["tool_calls"][0]["id"] == "a1b2c3d4"
    assert reply(gemini, "signed_call")["tool_calls"][0]["id"] != "a1b2c3d4"


class TestMemory:
    def call(self, signature: str = "s") -> SignedCall:
        return SignedCall("3", "turn", 0, None, signature)

    def test_the_number_is_bounded(self) -> None:
        memory = SignatureMemory(max_entries=2)
        memory.keep_call("s", "a", self.call())
        memory.keep_call("s", "b", self.call())
        assert memory.find_call("s", "a")
        memory.keep_call("s", "c", self.call())
        assert memory.find_call("s", "b") is None, "it was not used for longest"
        assert memory.find_call("s", "a")
        assert len(memory) == 2

    def test_the_bytes_are_bounded(self) -> None:
        memory = SignatureMemory(max_bytes=2000)
        for number in range(100):
            memory.keep_call("s", f"call {number}", self.call("x" * 500))
        assert 1 <= len(memory) < 4
        memory.keep_call("s", "call 99", self.call("y"))
        assert memory.find_call("s", "call 99") == self.call("y")

    def test_a_too_large_entry_is_not_stored(self) -> None:
        memory = SignatureMemory(max_bytes=1000)
        memory.keep_call("s", "a", self.call("x" * 2000))
        assert len(memory) == 0

    def test_calls_and_texts_are_separate(self) -> None:
        memory = SignatureMemory()
        memory.keep_call("s", "a", self.call())
        assert memory.find_text("s", "a") is None

"""A tool loop all the way to Gemini and back, with a signature that only the client keeps."""

import json

from backends.stream import Chunk
from tests.backends.dialects.responses.asking import SEALED, Json, ask, check, read_events
from tests.backends.vendors.gemini import asking as gemini

MODEL = "gemini-3.5-flash"
SIGNATURE = "c2lnbmVk"
TEXT = '*** Begin Patch\n+"é"'
PATCH: Json = {"type": "custom", "name": "patch"}
ANSWER: list[Json] = [
    {"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": True}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "Patching."}]}}]},
    {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {
                            "functionCall": {"name": "patch", "args": {"input": TEXT}},
                            "thoughtSignature": SIGNATURE,
                        }
                    ]
                },
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6},
    },
]


def test_a_tool_loop() -> None:
    question = {"role": "user", "content": "Go"}
    request = ask([question], tools=[PATCH], include=SEALED, stream=True, store=False)
    call = gemini.ask(*request.chat.pop("messages"), **{**request.chat, "model": MODEL})
    decoder, encoder = call.decoder(), request.encoder()
    chunks = [
        event.raw
        for data in ANSWER
        for event in decoder.feed(b"data: " + json.dumps(data).encode() + b"\n\n")
        if isinstance(event, Chunk)
    ]
    chunks += [event.raw for event in decoder.finish() if isinstance(event, Chunk)]
    events = read_events(b"".join([*map(encoder.chunk, chunks), encoder.done()]))
    check(events)
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == [
        "reasoning",
        "message",
        "reasoning",
        "custom_tool_call",
    ]
    assert output[3]["input"] == TEXT
    assert events[-1]["response"]["usage"]["total_tokens"] == 11

    done = {
        "type": "custom_tool_call_output",
        "call_id": output[3]["call_id"],
        "output": "Done!",
    }
    again = ask([question, *output, done], tools=[PATCH])
    body = gemini.body_of(
        gemini.ask(*again.chat["messages"], model=MODEL, tools=again.chat["tools"])
    )
    assert body["contents"][1]["parts"] == [
        {"text": "Patching."},
        {
            "functionCall": {"name": "patch", "args": {"input": TEXT}},
            "thoughtSignature": SIGNATURE,
        },
    ]

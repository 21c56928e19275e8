"""The least of an agent on OpenAI's Python SDK: `sdk_agent.py chat|responses [--resume] TEXT`.

In a chat it repeats the history; of a response it names the one before.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai

MODEL = "gpt-4o-mini"
HISTORY = Path("history.json")
SHELL: dict[str, Any] = {
    "name": "shell",
    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
}

client = openai.OpenAI()


def chat(history: Any, text: str) -> tuple[Any, str | None]:
    messages = [*(history or ()), {"role": "user", "content": text}]
    while True:
        tools: Any = [{"type": "function", "function": SHELL}]
        asked = client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
        message = asked.choices[0].message
        messages.append(message.to_dict())
        if not message.tool_calls:
            return messages, message.content
        for call in message.tool_calls:
            assert call.type == "function"
            result = run(call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def respond(previous: Any, text: str) -> tuple[Any, str | None]:
    items: Any = text
    while True:
        tools: Any = [{"type": "function", **SHELL}]
        stream = client.responses.create(
            model=MODEL, input=items, tools=tools, previous_response_id=previous, stream=True
        )
        [response] = [each.response for each in stream if each.type == "response.completed"]
        previous = response.id
        items = [
            {"type": "function_call_output", "call_id": item.call_id, "output": run(item.arguments)}
            for item in response.output
            if item.type == "function_call"
        ]
        if not items:
            return previous, response.output_text


def run(arguments: str) -> str:
    command = json.loads(arguments)["command"]
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    api, *flags, text = sys.argv[1:]
    history = json.loads(HISTORY.read_text()) if flags else None
    history, answer = {"chat": chat, "responses": respond}[api](history, text)
    HISTORY.write_text(json.dumps(history))
    print(answer)

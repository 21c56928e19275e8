"""Models are found by the names of their vendors, in a list as OpenRouter publishes it."""

import pytest

from commands.routing.model_list import find

IDS = [
    "anthropic/claude-3.5-sonnet",
    "anthropic/claude-3.5-sonnet-20240620",
    "anthropic/claude-opus-4.1",
    "anthropic/claude-sonnet-4",
    "anthropic/claude-sonnet-4.5",
    "deepseek/deepseek-chat",
    "deepseek/deepseek-chat-v3-0324",
    "deepseek/deepseek-r1",
    "deepseek/deepseek-r1:free",
    "meta-llama/llama-3.3-70b-instruct",
    "mistralai/mistral-large",
    "mistralai/mistral-large-2411",
    "openai/gpt-4o",
    "openai/gpt-4o-2024-08-06",
    "openai/gpt-4o-2024-11-20",
    "one/twin-2024-01-01",
    "two/twin-2024-02-02",
    "x-ai/grok-4",
]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("anthropic/claude-sonnet-4.5", ["anthropic/claude-sonnet-4.5"]),
        ("deepseek-chat", ["deepseek/deepseek-chat"]),
        ("grok-4", ["x-ai/grok-4"]),
        ("Grok-4", ["x-ai/grok-4"]),
        ("mistral-large-latest", ["mistralai/mistral-large"]),
        ("mistral-large-2411", ["mistralai/mistral-large-2411"]),
        ("claude-sonnet-4-5-20250929", ["anthropic/claude-sonnet-4.5"]),
        ("claude-sonnet-4-20250514", ["anthropic/claude-sonnet-4"]),
        ("anthropic/claude-sonnet-4-5-20250929", ["anthropic/claude-sonnet-4.5"]),
        ("claude-3-5-sonnet-20240620", ["anthropic/claude-3.5-sonnet-20240620"]),
        ("claude-3-5-sonnet-20241022", ["anthropic/claude-3.5-sonnet"]),
        ("deepseek-r1:free", ["deepseek/deepseek-r1:free"]),
        ("gpt-4o-2024-08-06", ["openai/gpt-4o-2024-08-06"]),
        ("gpt-4o-2024-05-13", ["openai/gpt-4o"]),
        ("twin", ["one/twin-2024-01-01", "two/twin-2024-02-02"]),
        ("sonnet", []),
        ("openai/grok-4", []),
        ("", []),
    ],
)
def test_find(name: str, found: list[str]) -> None:
    assert list(find(name, IDS)) == found

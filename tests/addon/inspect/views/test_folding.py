"""What of a long conversation is shown, and in which order."""

import json
from typing import Any

from addon.inspect.views.conversation import Block, Conversation, Message, Tool
from addon.inspect.views.parse import read
from addon.inspect.views.transcript import MAX_CHARACTERS, to_text

WHERE = "elsewhere"


def numbered(lines: int) -> str:
    return "\n".join(f"line {number}" for number in range(1, lines + 1))


def shown(*messages: tuple[str, str], **more: Any) -> str:
    text_message = [Message(role, [Block("text", text)]) for role, text in messages]
    return to_text(Conversation(text_message, **more), WHERE)


def test_up_to_30_lines_are_shown() -> None:
    assert numbered(30) in shown(("system", numbered(30)), ("user", "x"))


def test_a_long_system_prompt_is_folded() -> None:
    text = shown(("system", numbered(100)), ("user", "x"))
    middle = "line 20\n… 75 more lines, 599 characters (elsewhere)\nline 96\n"
    assert middle in text
    assert text.endswith("─\nx")


def test_so_is_one_without_a_user() -> None:
    assert "… 75 more lines" in shown(("developer", numbered(100)))


def test_one_long_line_is_folded() -> None:
    text = shown(("system", "ab" * 5_000), ("user", "x"))
    assert "b\n… 4,000 more characters (elsewhere)\na" in text


def test_the_newest_turn_is_shown_in_full() -> None:
    old, new = numbered(40).upper(), numbered(50)
    text = shown(("user", old), ("assistant", old), ("user", new), ("user", new), ("tool", new))
    assert (text.count(old), text.count(new)) == (0, 3)
    assert text.count("15 more lines") == 2


def test_behind_a_long_history_the_newest_turn_comes_first() -> None:
    history = [("system", "Be kind."), *[("user", numbered(10)), ("assistant", "ok")] * 20]
    text = shown(*history, ("user", "newest"), ("assistant", "call"), tools=[Tool("f")])
    heads = [line.strip("─═ ") for line in text.split("\n") if line[0:1] in ("─", "═")]
    assert heads[:5] == ["user", "assistant", "earlier · 41 messages", "system", "user"]
    assert heads[-1] == "tools · 1"


def test_many_tools_are_folded() -> None:
    text = shown(("user", "x"), tools=[Tool(f"tool_{number}", "Does it.") for number in range(99)])
    assert "tool_19: Does it.\n… 74 more lines" in text


def test_a_transcript_is_bounded() -> None:
    text = shown(*[("user", "x" * 10_000)] * 500)
    assert len(text) < MAX_CHARACTERS + 10_000
    assert text.endswith("… more than fits here (elsewhere)")


def test_a_long_text_in_the_newest_turn_leaves_room_for_the_rest() -> None:
    text = shown(("user", "x" * 5_000_000), ("user", "The question."))
    assert len(text) < MAX_CHARACTERS
    assert "… 4,600,000 more characters (elsewhere)" in text
    assert text.endswith("The question.")


def test_deep_arguments_do_not_grow_by_indentation() -> None:
    deep = "[" * 150 + "1," * 500_000 + "1" + "]" * 150
    call = {"function": {"name": "f", "arguments": deep}}
    conversation = read(json.dumps({"messages": [{"tool_calls": [call]}]}).encode())
    assert conversation
    assert len(conversation.messages[0].blocks[0].text) == len(deep)

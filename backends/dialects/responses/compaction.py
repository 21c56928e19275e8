"""Compaction: the client sends a history, and the response replaces it in later requests.

Only OpenAI can read its own compaction items. So the proxy asks the model for a summary, with
Codex's prompt for other providers, and packs it into the item.
"""

from backends.dialects import opaque_state
from backends.jsonio import Json, string

TRIGGER = "compaction_trigger"
ITEM = "compaction"
"""Types of items: the last of the client's input, and the one in the response."""

REQUEST = """\
You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another LLM that \
will resume the task.

Include:
- Current progress and key decisions made
- Important context, constraints, or user preferences
- What remains to be done (clear next steps)
- Any critical data, examples, or references needed to continue

Be concise, structured, and focused on helping the next LLM seamlessly continue the work.
"""
SUMMARY = """\
Another language model started to solve this problem and produced a summary of its thinking \
process. You also have access to the state of the tools that were used by that language model. Use \
this to build on the work that has already been done and avoid duplicating work. Here is the \
summary produced by the other language model, use the information in this summary to assist with \
your own analysis:
"""
UNREADABLE = "(A summary was here, but only the provider that made it can read it.)"


def to_item(id: str, text: str) -> Json:
    """The item that carries a summary."""
    return {"type": ITEM, "id": id, "encrypted_content": opaque_state.pack({"summary": text})}


def from_item(item: Json) -> str | None:
    """The summary; None if another provider made it."""
    unpacked = opaque_state.unpack(item.get("encrypted_content"))
    return string(unpacked.get("summary")) if unpacked else None

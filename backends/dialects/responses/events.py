"""The events of a streamed response, without sequence numbers."""

from typing import NamedTuple

from backends.jsonio import Json

IN_PROGRESS = "in_progress"
COMPLETED = "completed"
INCOMPLETE = "incomplete"
FAILED = "failed"


class TextEvents(NamedTuple):
    """The events that stream the text of an item."""

    prefix: str
    """Their names without `.delta` and `.done`."""
    field: str
    """Holds the complete text in the `.done` event."""
    part: str | None = None
    """Prefix of the events around the text, if it is a part of its item."""
    index_field: str | None = None
    """Holds the index of that part."""


TEXT = TextEvents("response.output_text", "text", "response.content_part", "content_index")
REFUSAL = TextEvents("response.refusal", "refusal", "response.content_part", "content_index")
SUMMARY = TextEvents(
    "response.reasoning_summary_text", "text", "response.reasoning_summary_part", "summary_index"
)
ARGUMENTS = TextEvents("response.function_call_arguments", "arguments")
INPUT = TextEvents("response.custom_tool_call_input", "input")


def event(type: str, **fields: object) -> Json:
    return {"type": type, **fields}

"""The events of a streamed response, but for their sequence numbers."""

from typing import NamedTuple

from backends.jsonio import Json

IN_PROGRESS = "in_progress"
COMPLETED = "completed"
INCOMPLETE = "incomplete"
FAILED = "failed"


class Channel(NamedTuple):
    """How the text of an item is streamed.

    `event` is the name of the events without their `.delta` and `.done`, `field` that of the whole
    text in the latter. A text that is part of an item has the events of `part` around it, and an
    index by the name of `place`.
    """

    event: str
    field: str
    part: str | None = None
    place: str | None = None


TEXT = Channel("response.output_text", "text", "response.content_part", "content_index")
REFUSAL = Channel("response.refusal", "refusal", "response.content_part", "content_index")
SUMMARY = Channel(
    "response.reasoning_summary_text", "text", "response.reasoning_summary_part", "summary_index"
)
ARGUMENTS = Channel("response.function_call_arguments", "arguments")
INPUT = Channel("response.custom_tool_call_input", "input")


def event(type: str, **fields: object) -> Json:
    return {"type": type, **fields}

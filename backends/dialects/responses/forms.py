"""The kinds of tools whose calls are items of their own, and what stands in for them in a chat.

Shapes are those of OpenAI's API reference (3.54 of its Python SDK).
"""

from collections.abc import Mapping
from typing import NamedTuple

from backends import jsonio
from backends.dialects.responses import free_text
from backends.dialects.responses.events import ARGUMENTS, INPUT, TextEvents
from backends.dialects.responses.free_text import FreeText
from backends.jsonio import Json


class Form(NamedTuple):
    """How calls of one kind of tool look to the client.

    `item` is the type of their items, `prefix` that of these items' ids. Where no `events` streams
    the arguments, they stand in `field` as an object, which without any of them is `blank`.
    `description` and `parameters` are the stand-in's, where the client declares none.
    """

    item: str
    prefix: str
    events: TextEvents | None = None
    field: str = ""
    blank: Mapping[str, object] = {}
    description: str = ""
    parameters: Mapping[str, object] = {}

    def decoder(self) -> FreeText | None:
        """For arguments that are a text in truth."""
        return FreeText() if self.events is INPUT else None

    def arguments_of(self, item: Json) -> str:
        """The arguments of a call in the history, as those of a function."""
        if self.events is None:
            return jsonio.encode(item.get(self.field) or {}).decode()
        text = str(item.get(self.events.field) or "")
        return free_text.to_arguments(text) if self.events is INPUT else text


def _schema(properties: Mapping[str, object], *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_TEXTS = {"type": "array", "items": _TEXT}

FUNCTION = Form("function_call", "fc", ARGUMENTS)
CUSTOM = Form(
    "custom_tool_call", "ctc", INPUT, parameters=_schema({free_text.INPUT: _TEXT}, free_text.INPUT)
)

BUILT_IN: Mapping[str | None, Form] = {
    "local_shell": Form(
        "local_shell_call",
        "lsh",
        field="action",
        blank={"type": "exec", "command": [], "env": {}},
        description="Runs a command on the user's machine and returns its output.",
        parameters=_schema(
            {
                "command": {**_TEXTS, "description": "The program and its arguments"},
                "working_directory": _TEXT,
                "timeout_ms": _NUMBER,
                "env": {"type": "object", "additionalProperties": _TEXT},
            },
            "command",
        ),
    ),
    "shell": Form(
        "shell_call",
        "sh",
        field="action",
        blank={"commands": [], "timeout_ms": None, "max_output_length": None},
        description="Runs shell commands and returns what they write.",
        parameters=_schema(
            {"commands": _TEXTS, "timeout_ms": _NUMBER, "max_output_length": _NUMBER}, "commands"
        ),
    ),
    "apply_patch": Form(
        "apply_patch_call",
        "apc",
        field="operation",
        blank={"type": "update_file", "path": "", "diff": ""},
        description="Creates, updates or deletes a file by a diff in the V4A format.",
        parameters=_schema(
            {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": _TEXT,
                "diff": {**_TEXT, "description": "Not for delete_file"},
            },
            "type",
            "path",
        ),
    ),
}
"""By the type of the tool, which is its name in a chat as well."""

FORMS: Mapping[str | None, Form] = {"function": FUNCTION, "custom": CUSTOM, **BUILT_IN}
"""By the type of the tool."""

"""Translates the client's tools to functions of a chat, and calls of these back to items.

A chat has functions only. A function stands in for each tool of another kind.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backends import jsonio
from backends.dialects.responses import free_text
from backends.dialects.responses.events import ARGUMENTS, INPUT, TextEvents
from backends.dialects.responses.free_text import FreeTextDecoder
from backends.errors import ApiError, bad_request
from backends.jsonio import Json, Warnings, objects, string


class ToolKind(NamedTuple):
    """How the client sees calls of one kind of tool, and its function in a chat.

    Shapes are those of OpenAI's API reference (3.54 of its Python SDK).
    """

    item_type: str
    id_prefix: str
    """Begins the ids of these items."""
    events: TextEvents | None = None
    """Stream the arguments. None if they are an object in the item."""
    field: str = ""
    """Holds that object."""
    empty: Mapping[str, object] = {}
    """That object before any arguments have arrived."""
    description: str = ""
    """Of the function, where the client gives none."""
    parameters: Mapping[str, object] = {}
    """Their schema, where the client gives none."""

    def decoder(self) -> FreeTextDecoder | None:
        """Decodes the arguments if they stand for a free text."""
        return FreeTextDecoder() if self.events is INPUT else None

    def arguments_of(self, item: Json) -> str:
        """The function arguments of a call in the history."""
        if self.events is None:
            return jsonio.encode(item.get(self.field) or {}).decode()
        text = str(item.get(self.events.field) or "")
        return free_text.to_arguments(text) if self.events is INPUT else text


def _schema(properties: Mapping[str, object], *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_TEXTS = {"type": "array", "items": _TEXT}

FUNCTION = ToolKind("function_call", "fc", ARGUMENTS)
CUSTOM = ToolKind(
    "custom_tool_call", "ctc", INPUT, parameters=_schema({free_text.INPUT: _TEXT}, free_text.INPUT)
)

BUILT_IN_KINDS: Mapping[str | None, ToolKind] = {
    "local_shell": ToolKind(
        "local_shell_call",
        "lsh",
        field="action",
        empty={"type": "exec", "command": [], "env": {}},
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
    "shell": ToolKind(
        "shell_call",
        "sh",
        field="action",
        empty={"commands": [], "timeout_ms": None, "max_output_length": None},
        description="Runs shell commands and returns what they write.",
        parameters=_schema(
            {"commands": _TEXTS, "timeout_ms": _NUMBER, "max_output_length": _NUMBER}, "commands"
        ),
    ),
    "apply_patch": ToolKind(
        "apply_patch_call",
        "apc",
        field="operation",
        empty={"type": "update_file", "path": "", "diff": ""},
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
"""By the type of the tool, which is also its name in a chat."""

TOOL_KINDS: Mapping[str | None, ToolKind] = {
    "function": FUNCTION,
    "custom": CUSTOM,
    **BUILT_IN_KINDS,
}
"""By the type of the tool."""

# Tools of a request

MAX_NAME_LENGTH = 64
"""OpenAI's limit for function names."""

_DIGEST_LENGTH = 8


def flat_name(namespace: object, name: str) -> str:
    """A function's name in a chat, which has no namespaces."""
    if not namespace:
        return name
    flat = f"{namespace}__{name}"
    if len(flat) <= MAX_NAME_LENGTH:
        return flat
    digest = hashlib.sha256(flat.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{flat[: MAX_NAME_LENGTH - _DIGEST_LENGTH - 1]}_{digest}"


class Tool(NamedTuple):
    """A client's tool."""

    kind: ToolKind
    name: str
    namespace: str | None = None

    def item(self, id: str, call_id: str, text: str, status: str) -> Json:
        """The item of a call. `text` is its free text or its arguments in JSON."""
        kind = self.kind
        item = {"type": kind.item_type, "id": id, "call_id": call_id, "status": status}
        if kind.events is None:
            # The model may break its arguments, or not finish them.
            arguments = jsonio.decode_object(text.encode("utf-8", "surrogatepass")) or {}
            return {**item, kind.field: {**kind.empty, **arguments}}
        named = {"name": self.name} | ({"namespace": self.namespace} if self.namespace else {})
        return {**item, **named, kind.events.field: text}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a request."""

    by_name: Mapping[str, Tool] = field(default_factory=dict)
    """Those that the client runs, by their names in the chat."""
    declared: list[Json] = field(default_factory=list)
    """The chat's `tools`."""
    choice: object = None
    """The chat's `tool_choice`."""

    def find(self, name: str) -> Tool:
        """The tool of a call; a function if the client has no such tool."""
        return self.by_name.get(name) or Tool(FUNCTION, name)


def read_tools(tools: list[Any], choice: object, warnings: Warnings) -> Toolbox:
    """Read the tools. Raises ApiError (400) if one has no name or `choice` is not supported."""
    by_name: dict[str, Tool] = {}
    declared: list[Json] = []
    allowed = _allowed(choice)
    for tool, namespace, param in _flatten(tools, None, "tools"):
        type_name = string(tool.get("type"))
        if kind := TOOL_KINDS.get(type_name):
            name = type_name if type_name in BUILT_IN_KINDS else tool.get("name")
            if not isinstance(name, str):
                raise bad_request(f"'{param}' needs a 'name'", param)
            flat = flat_name(namespace, name)
            if flat not in by_name and (allowed is None or flat in allowed):
                by_name[flat] = Tool(kind, name, namespace)
                declared.append({"type": "function", "function": _function(kind, tool, flat)})
        elif _is_search(type_name) and tool.get("external_web_access") is not False:
            declared.append(tool)  # both backends support this type
        else:
            warnings.append(f"tools=type {type_name} is not supported")
    return Toolbox(by_name, declared, _read_choice(choice))


def _flatten(
    tools: list[Any], namespace: str | None, param: str
) -> Iterator[tuple[Json, str | None, str]]:
    """Each tool with its namespace and its path in the request."""
    for index, tool in enumerate(tools):
        path = f"{param}[{index}]"
        if not isinstance(tool, dict):
            raise bad_request(f"'{path}' must be an object", path)
        if tool.get("type") == "namespace" and namespace is None:
            yield from _flatten(objects(tool.get("tools")), str(tool.get("name")), f"{path}.tools")
        else:
            yield tool, namespace, path


def _function(kind: ToolKind, tool: Json, name: str) -> Json:
    """The tool as a function."""
    if kind is FUNCTION:
        known = ("description", "parameters", "strict")
        return {"name": name} | {key: tool[key] for key in known if tool.get(key) is not None}
    description = _describe(tool) if kind is CUSTOM else kind.description
    return {"name": name, "description": description, "parameters": kind.parameters}


def _describe(tool: Json) -> str:
    """A free-text tool's description, with the format that a chat cannot express."""
    description = f"{tool.get('description') or ''}\n\nThe text goes into '{free_text.INPUT}'"
    format = tool.get("format")
    if isinstance(format, dict) and format.get("type") == "grammar":
        syntax, definition = format.get("syntax"), format.get("definition")
        description += f" and must follow this {syntax} grammar:\n{definition}"
    return description.strip()


def _is_search(type_name: str | None) -> bool:
    return type_name is not None and type_name.startswith("web_search")


# Choice


def _allowed(choice: object) -> frozenset[str] | None:
    """The names of the allowed tools; None if all are.

    Only these are declared, because both backends understand that.
    """
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    return frozenset(filter(None, map(_name_in, objects(choice.get("tools")))))


def _read_choice(choice: object) -> object:
    if not isinstance(choice, dict):
        return choice
    type_name = string(choice.get("type"))
    if type_name == "allowed_tools":
        return choice.get("mode")
    if name := _name_in(choice):
        return {"type": "function", "function": {"name": name}}
    if _is_search(type_name):
        return choice
    raise ApiError(
        400,
        f"'tool_choice' requires a tool of type {type_name}, which is not supported",
        param="tool_choice",
        code="unsupported_value",
    )


def _name_in(choice: Json) -> str | None:
    """The chosen tool's name in a chat; None if the client does not run it."""
    type_name = string(choice.get("type"))
    name = type_name if type_name in BUILT_IN_KINDS else choice.get("name")
    if type_name not in TOOL_KINDS or not isinstance(name, str):
        return None
    return flat_name(choice.get("namespace"), name)

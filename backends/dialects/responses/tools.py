"""The client's tools as functions of a chat, with a way back for the calls of these.

Chat, as all backends know it, has functions only. Tools of other kinds get stand-ins.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backends import jsonio
from backends.dialects.responses import free_text
from backends.dialects.responses.forms import BUILT_IN, CUSTOM, FORMS, FUNCTION, Form
from backends.errors import ApiError, bad_request
from backends.jsonio import Json, Warnings, objects, string

MAX_NAME_LENGTH = 64
"""OpenAI's limit for the name of a function."""

_DIGEST_LENGTH = 8


def flat_name(namespace: object, name: str) -> str:
    """The name of a function in a chat, which has no namespaces."""
    if not namespace:
        return name
    flat = f"{namespace}__{name}"
    if len(flat) <= MAX_NAME_LENGTH:
        return flat
    digest = hashlib.sha256(flat.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{flat[: MAX_NAME_LENGTH - _DIGEST_LENGTH - 1]}_{digest}"


class Tool(NamedTuple):
    """A tool as the client knows it."""

    form: Form
    name: str
    namespace: str | None = None

    def item(self, id: str, call_id: str, text: str, status: str) -> Json:
        """A call; `text` is its free text, or its arguments in JSON."""
        form = self.form
        item = {"type": form.item, "id": id, "call_id": call_id, "status": status}
        if form.events is None:
            return {**item, form.field: {**form.blank, **_object(text)}}
        named = {"name": self.name} | ({"namespace": self.namespace} if self.namespace else {})
        return {**item, **named, form.events.field: text}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """A request's tools: `by_name` are those that the client runs, by their names in a chat.

    `declared` and `choice` are the chat's.
    """

    by_name: Mapping[str, Tool] = field(default_factory=dict)
    declared: list[Json] = field(default_factory=list)
    choice: object = None

    def find(self, name: str) -> Tool:
        """What a model has called; a function, if it is none of the client's tools."""
        return self.by_name.get(name) or Tool(FUNCTION, name)


def read_tools(tools: list[Any], choice: object, warnings: Warnings) -> Toolbox:
    """The tools on offer; ApiError 400 if one has no name, or `choice` demands what cannot be."""
    by_name: dict[str, Tool] = {}
    declared: list[Json] = []
    allowed = _allowed(choice)
    for tool, namespace, param in _flatten(tools, None, "tools"):
        kind = string(tool.get("type"))
        if form := FORMS.get(kind):
            name = kind if kind in BUILT_IN else tool.get("name")
            if not isinstance(name, str):
                raise bad_request(f"a tool of type '{kind}' needs a name", param)
            flat = flat_name(namespace, name)
            if flat not in by_name and (allowed is None or flat in allowed):
                by_name[flat] = Tool(form, name, namespace)
                declared.append({"type": "function", "function": _function(form, tool, flat)})
        elif _is_search(kind) and tool.get("external_web_access") is not False:
            declared.append(tool)  # both backends know it by this type
        else:
            warnings.append(f"tools=type {kind} is not supported")
    return Toolbox(by_name, declared, _read_choice(choice))


def _flatten(
    tools: list[Any], namespace: str | None, param: str
) -> Iterator[tuple[Json, str | None, str]]:
    """Each tool with its namespace and its path in the request."""
    for index, tool in enumerate(tools):
        place = f"{param}[{index}]"
        if not isinstance(tool, dict):
            raise bad_request(f"'{place}' must be an object", place)
        if tool.get("type") == "namespace":
            yield from _flatten(objects(tool.get("tools")), str(tool.get("name")), f"{place}.tools")
        else:
            yield tool, namespace, place


def _function(form: Form, tool: Json, name: str) -> Json:
    """The function that is, or stands in for, a tool."""
    if form is FUNCTION:
        known = ("description", "parameters", "strict")
        return {"name": name} | {key: tool[key] for key in known if tool.get(key) is not None}
    description = _describe(tool) if form is CUSTOM else form.description
    return {"name": name, "description": description, "parameters": form.parameters}


def _describe(tool: Json) -> str:
    """What a model must know of a free-text tool, which a chat could not tell otherwise."""
    description = f"{tool.get('description') or ''}\n\nThe text goes into '{free_text.INPUT}'"
    format = tool.get("format")
    if isinstance(format, dict) and format.get("type") == "grammar":
        syntax, definition = format.get("syntax"), format.get("definition")
        description += f" and must follow this {syntax} grammar:\n{definition}"
    return description.strip()


def _is_search(kind: str | None) -> bool:
    return kind is not None and kind.startswith("web_search")


# Choice


def _allowed(choice: object) -> frozenset[str] | None:
    """The names of the only tools that may be called, if there are such.

    Declaring no others is what both backends understand.
    """
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    return frozenset(filter(None, map(_name_in, objects(choice.get("tools")))))


def _read_choice(choice: object) -> object:
    if not isinstance(choice, dict):
        return choice
    kind = string(choice.get("type"))
    if kind == "allowed_tools":
        return choice.get("mode")
    if name := _name_in(choice):
        return {"type": "function", "function": {"name": name}}
    if _is_search(kind):
        return choice
    raise ApiError(
        400,
        f"'tool_choice' demands a tool of type {kind}, which is not supported",
        param="tool_choice",
        code="unsupported_value",
    )


def _name_in(choice: Json) -> str | None:
    """The name in a chat of a tool that is chosen, if the client is to run it."""
    kind = string(choice.get("type"))
    name = kind if kind in BUILT_IN else choice.get("name")
    if kind not in FORMS or not isinstance(name, str):
        return None
    return flat_name(choice.get("namespace"), name)


def _object(arguments: str) -> Json:
    """Arguments that a model may have broken, or not finished."""
    try:
        value = jsonio.decode(arguments.encode("utf-8", "surrogatepass"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

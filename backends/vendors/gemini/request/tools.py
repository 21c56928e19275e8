"""Converts the client's tools to Gemini's function declarations, and names and arguments back."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from backends.errors import ApiError, bad_request
from backends.jsonio import Json, Warnings, fields, objects, string
from backends.vendors.gemini.generations import Generation
from backends.vendors.gemini.schema.schema import Budget
from backends.vendors.gemini.schema.schema_format import WRAPPED, SchemaFormat

MAX_DECLARATIONS = 512

# API reference, FunctionDeclaration. Older models allow 64 characters, hence the shorter limit.
_VALID_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_SANITIZED_LENGTH = 60
# Models sometimes prefix a name with this (issue reports).
_STRAY_PREFIX = re.compile(r"^default_api[.:]")


class Names:
    """Maps the tool names of one request to names that Gemini accepts, and back."""

    def __init__(self, declared: Iterable[str]) -> None:
        self._to_gemini: dict[str, str] = {}
        self._to_client: dict[str, str] = {}
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
        """The next number for a name that others are sanitized to as well."""
        # Valid names first: they stay unchanged even if another name is sanitized to the same.
        for name in sorted(declared, key=lambda name: not _VALID_NAME.fullmatch(name)):
            self.to_gemini(name)

    def to_gemini(self, name: str) -> str:
        """The name to send, always the same. Also accepts names that only the history has."""
        if name not in self._to_gemini:
            sanitized = _sanitized(name)
            ours = name if _VALID_NAME.fullmatch(name) else sanitized
            while ours in self._to_client:
                ours = f"{sanitized}_{next(self._numbers[sanitized])}"
            self._to_gemini[name] = ours
            self._to_client[ours] = name
        return self._to_gemini[name]

    def to_client(self, name: str) -> str:
        """The client's name for a name in a response."""
        if name in self._to_client:
            return self._to_client[name]
        return self._to_client.get(_STRAY_PREFIX.sub("", name), name)


def _sanitized(name: str) -> str:
    valid = re.sub(r"[^A-Za-z0-9_.:-]", "_", name)[:_SANITIZED_LENGTH]
    return valid if _VALID_NAME.match(valid) else f"_{valid}"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """A request's tools, as Gemini takes them."""

    names: Names
    tools: list[Json]
    """The `tools` of the request; not sent if empty."""
    config: Json
    """The `toolConfig` of the request; not sent if empty."""
    mode: str | None
    """The function calling mode; None if it is not set."""
    custom: frozenset[str]
    """The client's names of the tools whose input is free text."""
    wrapped: frozenset[str]
    """The client's names of the tools whose arguments are not an object."""

    def to_args(self, name: str, arguments: Any) -> Json:
        """Convert a client's parsed arguments to Gemini's `args`, which are always an object."""
        is_object = isinstance(arguments, dict) and name not in self.wrapped
        return arguments if is_object else {WRAPPED: arguments}

    def from_args(self, name: str, args: Json) -> Any:
        """Convert the `args` of a response's call to the client's arguments."""
        return args.get(WRAPPED) if name in self.wrapped else args


class _Choice(NamedTuple):
    mode: str | None = None
    names: tuple[str, ...] = ()


def read_tools(
    chat: Json,
    generation: Generation,
    schema_format: SchemaFormat,
    budget: Budget,
    warnings: Warnings,
) -> Toolbox:
    """Convert `tools` and the legacy `functions`. Raises ApiError (400) if they are invalid."""
    functions = _functions(chat)
    if len(functions) > MAX_DECLARATIONS:
        raise bad_request(f"too many tools: Gemini takes {MAX_DECLARATIONS}", "tools")
    names = Names(functions)
    declarations, wrapped = _declare(functions, names, schema_format, budget)
    tools: list[Json] = [{"functionDeclarations": declarations}] if declarations else []
    choice = _read_choice(chat, functions, warnings) if functions else _Choice()
    config: Json = {}
    mode = choice.mode
    if _wants_search(chat):
        if generation.mixes_tools or not tools:
            tools.append({"googleSearch": {}})
        else:
            # "Tool use with function calling is unsupported" (issue reports).
            warnings.append("web_search=not together with functions on this model")
        if len(tools) > 1:
            config["includeServerSideToolInvocations"] = True
            mode = mode or "VALIDATED"
    if mode:
        calling: Json = {"mode": mode}
        if choice.names:
            calling["allowedFunctionNames"] = [names.to_gemini(name) for name in choice.names]
        config["functionCallingConfig"] = calling
    custom = frozenset(name for name, each in functions.items() if each.get("type") == "custom")
    _warn_of_others(chat, warnings)
    return Toolbox(names, tools, config, mode, custom, wrapped)


# Declarations


def _declare(
    functions: Mapping[str, Json], names: Names, schema_format: SchemaFormat, budget: Budget
) -> tuple[list[Json], frozenset[str]]:
    """The declarations of functions, and the names of those whose arguments are wrapped."""
    declarations, wrapped = [], set()
    for name, function in functions.items():
        fields, is_wrapped = schema_format.parameters(function.get("parameters"), budget)
        declaration: Json = {"name": names.to_gemini(name)}
        if isinstance(function.get("description"), str):
            declaration["description"] = function["description"]
        declarations.append(declaration | fields)
        if is_wrapped:
            wrapped.add(name)
    return declarations, frozenset(wrapped)


def _functions(chat: Json) -> dict[str, Json]:
    """The callable tools by the client's name; the first of two with the same name wins."""
    found: dict[str, Json] = {}
    legacy = [{"type": "function", "function": each} for each in _listed(chat, "functions")]
    for index, tool in enumerate([*_listed(chat, "tools"), *legacy]):
        kind = string(fields(tool).get("type"))
        if kind not in _DECLARED:
            continue
        function = fields(tool.get(kind))
        if not isinstance(function.get("name"), str):
            raise bad_request(f"a tool of type '{kind}' needs a name", f"tools[{index}]")
        found.setdefault(function["name"], _DECLARED[kind](function))
    return found


def _listed(chat: Json, param: str) -> list[Any]:
    value = chat.get(param)
    if value is not None and not isinstance(value, list):
        raise bad_request(f"'{param}' must be a list", param)
    return value or []


def _custom(tool: Json) -> Json:
    """Convert a tool with free text input to a function with one argument."""
    description = str(tool.get("description") or "")
    if grammar := fields(fields(tool.get("format")).get("grammar")):
        syntax = f"The input must follow this {grammar.get('syntax')} grammar:"
        description = f"{description}\n\n{syntax}\n{grammar.get('definition')}".strip()
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return {"type": "custom", "description": description, "parameters": schema}


_DECLARED: Mapping[object, Callable[[Json], Json]] = {"function": dict, "custom": _custom}


def _is_search(tool: object) -> bool:
    return str(fields(tool).get("type")).startswith("web_search")


def _wants_search(chat: Json) -> bool:
    has_options = chat.get("web_search_options") is not None
    return has_options or any(map(_is_search, _listed(chat, "tools")))


def _warn_of_others(chat: Json, warnings: Warnings) -> None:
    for tool in _listed(chat, "tools"):
        kind = string(fields(tool).get("type"))
        if kind not in _DECLARED and not _is_search(tool):
            warnings.append(f"tools=type {kind} is not supported")


# Choice

_MODES: Mapping[str, str | None] = {"auto": None, "none": "NONE", "required": "ANY"}


def _read_choice(chat: Json, functions: Mapping[str, Json], warnings: Warnings) -> _Choice:
    """Convert the tool choice. Raises ApiError (400) if it names an unknown tool."""
    param = "tool_choice" if chat.get("tool_choice") is not None else "function_call"
    value = chat.get(param)
    choice = _named(fields(value))
    if choice is None:
        mode = value if isinstance(value, str) else "auto"
        if mode not in _MODES:
            warnings.append(f"{param}={mode} is not supported")
        choice = _Choice(_MODES.get(mode))
    for name in choice.names:
        if name not in functions:
            raise ApiError(
                400, f"'{param}' names a tool that is not among 'tools': {name}", param=param
            )
    is_strict = all(function.get("strict") is True for function in functions.values())
    if choice.mode is None and is_strict:
        # The closest to OpenAI's `strict`: calls must follow their schema, text is unrestricted.
        return _Choice("VALIDATED")
    return choice


def _named(value: Json) -> _Choice | None:
    """Convert a choice of one tool or of `allowed_tools`; None if it names no tool."""
    if value.get("type") == "allowed_tools":
        allowed = value.get("allowed_tools")
        holder = allowed if isinstance(allowed, dict) else value
        names = tuple(filter(None, map(_name_in, objects(holder.get("tools")))))
        # Only these two modes allow names (API reference, FunctionCallingConfig).
        return _Choice("ANY" if holder.get("mode") == "required" else "VALIDATED", names)
    name = _name_in(value)
    return _Choice("ANY", (name,)) if name else None


def _name_in(choice: Any) -> str | None:
    """The name in `{"type": "function", "function": {"name"}}` or in the legacy `{"name"}`."""
    choice = fields(choice)
    name = fields(choice.get(str(choice.get("type")), choice)).get("name")
    return name if isinstance(name, str) else None

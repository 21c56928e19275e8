"""Converts a chat request to the body of Gemini's `generateContent`, from a list of known fields.

Unknown fields are never copied, as each makes Gemini refuse the request (issue reports).
"""

from dataclasses import dataclass, replace

from backends.jsonio import Json, Warnings
from backends.vendors.gemini.generations import Model
from backends.vendors.gemini.request.contents import Conversation
from backends.vendors.gemini.request.parameters import Parameters, read_parameters
from backends.vendors.gemini.request.tools import Toolbox, read_tools
from backends.vendors.gemini.schema.schema import MAX_NODES, Budget
from backends.vendors.gemini.schema.schema_format import JSON_SCHEMA, SchemaFormat
from backends.vendors.gemini.signatures import SignatureMemory, Signatures


@dataclass(frozen=True, slots=True)
class RequestVariant:
    """Options of the translation that a retry changes after the model has refused the default."""

    schema_format: SchemaFormat = JSON_SCHEMA
    has_minimal_level: bool = True
    """Whether the model has the thinking level MINIMAL."""
    sends_signatures: bool = True
    """False sends placeholders in place of thought signatures."""
    sends_tools: bool = True


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated request."""

    body: Json
    toolbox: Toolbox
    warnings: tuple[str, ...]
    """`<parameter>=<reason>` for each parameter that was dropped or changed."""


def translate(
    chat: Json, model: Model, variant: RequestVariant, memory: SignatureMemory, session: str
) -> Translation:
    """Translate a chat request. Raises ApiError (400) if Gemini has no equivalent."""
    warnings: Warnings = []
    budget = Budget()
    toolbox = read_tools(chat, model.generation, variant.schema_format, budget, warnings)
    if not variant.sends_tools:
        toolbox = replace(toolbox, tools=[], config={}, mode=None)
    parameters = read_parameters(
        chat,
        model,
        toolbox,
        variant.schema_format,
        budget,
        warnings,
        has_minimal_level=variant.has_minimal_level,
    )
    if budget.is_exceeded:
        warnings.append(f"tools=schemas with more than {MAX_NODES} nodes are cut off")
    signatures = Signatures(memory, session, model.generation.name, variant.sends_signatures)
    conversation = Conversation(toolbox, model.generation, signatures, warnings)
    for index, message in enumerate(chat["messages"]):
        conversation.read(message, f"messages[{index}]")
    body = _body(conversation, toolbox, parameters, warnings)
    return Translation(body, toolbox, tuple(warnings))


def _body(
    conversation: Conversation, toolbox: Toolbox, parameters: Parameters, warnings: Warnings
) -> Json:
    body: Json = {"contents": conversation.contents()}
    system = conversation.system + parameters.system
    cacheable: Json = {
        "systemInstruction": {"parts": system} if system else None,
        "tools": toolbox.tools,
        "toolConfig": toolbox.config,
    }
    cacheable = {name: value for name, value in cacheable.items() if value}
    if "cachedContent" in parameters.top:
        # The cached content includes them. Gemini refuses both in one request (issue reports).
        warnings += [f"cached_content=replaces {name}" for name in cacheable]
    else:
        body |= cacheable
    body |= parameters.top
    if parameters.config:
        body["generationConfig"] = parameters.config
    return body

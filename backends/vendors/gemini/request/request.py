"""A chat request as the body of Gemini's `generateContent`, built from a white list of fields.

Gemini refuses a request for any name that it does not know (issue reports), so nothing is copied.
"""

from dataclasses import dataclass, replace

from backends.jsonio import Json, Warnings
from backends.vendors.gemini.generations import Model
from backends.vendors.gemini.request.contents import Conversation
from backends.vendors.gemini.request.parameters import read_parameters
from backends.vendors.gemini.request.tools import Toolbox, read_tools
from backends.vendors.gemini.schema.schema_format import JSON_SCHEMA, Carrier
from backends.vendors.gemini.signatures import SignatureMemory, Signatures


@dataclass(frozen=True, slots=True)
class Manner:
    """How a request is put, where a model has refused another way.

    `are_signatures_refused`: placeholders stand for them. `is_minimal_known`: the model has the
    thinking level MINIMAL. `has_tools`: False to ask without them.
    """

    carrier: Carrier = JSON_SCHEMA
    is_minimal_known: bool = True
    are_signatures_refused: bool = False
    has_tools: bool = True


@dataclass(frozen=True, slots=True)
class Translation:
    """A request for Gemini, and what is needed to read the answer to it."""

    body: Json
    toolbox: Toolbox
    warnings: tuple[str, ...]


def translate(
    chat: Json, model: Model, manner: Manner, memory: SignatureMemory, session: str
) -> Translation:
    """A chat request in Gemini's form; ApiError 400 if it has none."""
    warnings: Warnings = []
    toolbox = read_tools(chat, model.generation, manner.carrier, warnings)
    if not manner.has_tools:
        toolbox = replace(toolbox, tools=[], config={}, mode=None)
    parameters = read_parameters(
        chat,
        model,
        toolbox,
        manner.carrier,
        warnings,
        is_minimal_known=manner.is_minimal_known,
    )
    refused = manner.are_signatures_refused
    signatures = Signatures(memory, session, model.generation.name, refused)
    conversation = Conversation(toolbox, model.generation, signatures, warnings)
    for index, message in enumerate(chat["messages"]):
        conversation.read(message, f"messages[{index}]")
    body: Json = {"contents": conversation.contents()}
    system = conversation.system + parameters.system
    beside: Json = {
        "systemInstruction": {"parts": system} if system else None,
        "tools": toolbox.tools,
        "toolConfig": toolbox.config,
    }
    if "cachedContent" in parameters.top:
        # They are in the cache already, and refused beside it (issue reports).
        warnings += [f"cached_content=replaces {name}" for name, value in beside.items() if value]
    else:
        body |= {name: value for name, value in beside.items() if value}
    body |= parameters.top
    if parameters.config:
        body["generationConfig"] = parameters.config
    return Translation(body, toolbox, tuple(warnings))

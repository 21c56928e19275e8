"""What a Gemini model understands, told from its name: tables of generations and of thinking.

Facts are from Google's model pages and from issue reports, state of November 2026. What is wrong
here the retries of `amendments` survive.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from backends.errors import bad_request
from backends.jsonio import Json

MAX_OUTPUT_TOKENS = 65_536
"""The limit of every current text model, as long as the answer is streamed (model pages)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of models. Signatures made by one are of no use to another.

    `has_thinking`: takes a `thinkingConfig`. `has_levels`: by level, not by budget.
    `checks_signatures`: refuses calls of the current turn that have lost their signature.
    `has_call_ids`: knows `functionCall.id`. `takes_sampling`: heeds temperature, topP and topK.
    `takes_prefill`: a request may end with a model turn. `takes_candidates`: more than one answer.
    `mixes_tools`: functions together with search or with JSON output. `takes_media`: images in
    function responses, and a resolution on each image.
    """

    name: str
    has_thinking: bool = True
    has_levels: bool = True
    checks_signatures: bool = True
    has_call_ids: bool = True
    takes_sampling: bool = False
    takes_prefill: bool = False
    takes_candidates: bool = False
    mixes_tools: bool = True
    takes_media: bool = True


G2 = Generation(
    "2",
    has_levels=False,
    checks_signatures=False,
    has_call_ids=False,
    takes_sampling=True,
    takes_prefill=True,
    takes_candidates=True,
    mixes_tools=False,
    takes_media=False,
)
# 3.0 and 3.1 heed a temperature, but may loop below 1.0, and Google advises to leave it out.
G3A = Generation("3", takes_prefill=True)
G3B = Generation("3.5")
G4 = Generation("4")
OTHER = Generation(
    "other",
    has_thinking=False,
    checks_signatures=False,
    has_call_ids=False,
    takes_sampling=True,
    takes_prefill=True,
    takes_candidates=True,
    mixes_tools=False,
    takes_media=False,
)

# The first match counts. An unknown `gemini-` name, an alias like `gemini-flash-latest` among them,
# stands for the newest generation.
_GENERATIONS: tuple[tuple[re.Pattern[str], Generation], ...] = (
    (re.compile(r"gemini-.*-(?:image|tts|embedding)|gemini-embedding"), OTHER),
    (re.compile(r"gemini-[12][.-]"), G2),
    (re.compile(r"gemini-3(?:\.[01])?-"), G3A),
    (re.compile(r"gemini-3\."), G3B),
    (re.compile(r"gemini-"), G4),
)

Levels = Mapping[str, str | int]
"""From an effort to a `thinkingLevel` or a `thinkingBudget`."""

_HIGH = {"high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_LEVELS: Levels = {"none": "LOW", "minimal": "LOW", "low": "LOW", "medium": "MEDIUM", **_HIGH}
_MINIMAL_LEVELS: Levels = {**_LEVELS, "none": "MINIMAL", "minimal": "MINIMAL"}
_BUDGETS: Levels = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_EFFORTS: tuple[tuple[re.Pattern[str], Levels], ...] = (
    # 2.5-pro cannot stop thinking, and may think longest.
    (re.compile(r"gemini-2\.5-pro"), {**_BUDGETS, "none": 128, "xhigh": 32_768, "max": 32_768}),
    (re.compile(r"gemini-[12][.-]"), _BUDGETS),
    (re.compile(r"gemini-3-pro"), {**_LEVELS, "medium": "HIGH"}),
    (re.compile(r"gemini-3(?:\.[56])?-flash|gemini-3[.\d]*-flash-lite"), _MINIMAL_LEVELS),
    (re.compile(r"gemini-"), _LEVELS),
)

_PREFIX = re.compile(r"^(?:(?:models|google|gemini)/)+")
_TUNED = "tunedModels/"


class Model(NamedTuple):
    """A model by its bare name, such as `gemini-2.5-pro` or `tunedModels/mine`."""

    name: str
    generation: Generation

    @property
    def resource(self) -> str:
        """Its place under the API's root."""
        if self.name.startswith(_TUNED):
            return _TUNED + quote(self.name.removeprefix(_TUNED), safe="")
        return f"models/{quote(self.name, safe='')}"

    def thinking_config(self, effort: str, *, has_minimal_level: bool = True) -> Json | None:
        """The `thinkingConfig` for an effort; None if there is no such effort or no thinking.

        `has_minimal_level`: False for a model that has refused the level MINIMAL.
        """
        if not self.generation.has_thinking:
            return None
        levels = next(levels for pattern, levels in _EFFORTS if pattern.match(self.name))
        level = levels.get(effort)
        if level is None:
            return None
        if level == "MINIMAL" and not has_minimal_level:
            level = "LOW"
        config: Json = {"thinkingBudget" if isinstance(level, int) else "thinkingLevel": level}
        # The thoughts cost the same whether they are shown or not.
        return config if effort == "none" else {**config, "includeThoughts": True}


def find_model(name: str | None) -> Model:
    """The model that a client named, with or without Google's prefixes; ApiError 400 if none."""
    bare = _PREFIX.sub("", name or "")
    if not bare:
        raise bad_request("A request to Gemini has to name a model", "model")
    known = (generation for pattern, generation in _GENERATIONS if pattern.match(bare))
    return Model(bare, next(known, OTHER))

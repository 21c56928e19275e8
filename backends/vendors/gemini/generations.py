"""Maps model names to what the models support: tables of generations and of thinking efforts.

The facts are from Google's model pages and issue reports, state of November 2026. The rules in
`retries` mend a wrong row at run time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import quote

from backends.errors import bad_request
from backends.jsonio import Json

MAX_OUTPUT_TOKENS = 65_536
"""The limit of every current text model for streamed responses (model pages)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of models. Signatures are valid only within a generation."""

    name: str
    has_thinking: bool = True
    """Accepts a `thinkingConfig`."""
    has_levels: bool = True
    """Thinking is set by a level, not by a budget."""
    checks_signatures: bool = True
    """Refuses calls of the current turn without their signature."""
    has_call_ids: bool = True
    """Knows `functionCall.id`."""
    takes_sampling: bool = False
    """Honours `temperature`, `topP` and `topK`."""
    takes_prefill: bool = False
    """Accepts a request that ends with a model turn."""
    takes_candidates: bool = False
    """Can return more than one candidate."""
    mixes_tools: bool = True
    """Combines functions with search or JSON output."""
    takes_media: bool = True
    """Accepts images in function responses, and a resolution for each image."""


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
# 3.0 and 3.1 honour a temperature, but may loop below 1.0. Google advises against setting it.
G3A = Generation("3", takes_prefill=True)
G3B = Generation("3.5")
G4 = Generation("4")
OTHER = replace(G2, name="other", has_thinking=False)

# The first match wins. Other `gemini-` names count as the newest generation, among them aliases
# such as `gemini-flash-latest`.
_GENERATIONS: tuple[tuple[re.Pattern[str], Generation], ...] = (
    (re.compile(r"gemini-.*-(?:image|tts|embedding)|gemini-embedding"), OTHER),
    (re.compile(r"gemini-[12][.-]"), G2),
    (re.compile(r"gemini-3(?:\.[01])?-"), G3A),
    (re.compile(r"gemini-3\."), G3B),
    (re.compile(r"gemini-"), G4),
)

Levels = Mapping[str, str | int]
"""Maps an effort to a `thinkingLevel` or a `thinkingBudget`."""

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
    # 2.5-pro cannot disable thinking, and has the largest budget.
    (re.compile(r"gemini-2\.5-pro"), {**_BUDGETS, "none": 128, "xhigh": 32_768, "max": 32_768}),
    (re.compile(r"gemini-[12][.-]"), _BUDGETS),
    (re.compile(r"gemini-3-pro"), {**_LEVELS, "medium": "HIGH"}),
    (re.compile(r"gemini-3(?:\.[56])?-flash|gemini-3[.\d]*-flash-lite"), _MINIMAL_LEVELS),
    (re.compile(r"gemini-"), _LEVELS),
)

_PREFIX = re.compile(r"^(?:(?:models|google|gemini)/)+")
_TUNED = "tunedModels/"


class Model(NamedTuple):
    """A model, named such as `gemini-2.5-pro` or `tunedModels/mine`."""

    name: str
    generation: Generation

    @property
    def resource(self) -> str:
        """Its path below the API version."""
        if self.name.startswith(_TUNED):
            return _TUNED + quote(self.name.removeprefix(_TUNED), safe="")
        return f"models/{quote(self.name, safe='')}"

    def thinking_config(self, effort: str, *, has_minimal_level: bool = True) -> Json | None:
        """The `thinkingConfig` for an effort; None if the model lacks the effort or thinking.

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
        # Thoughts cost the same, shown or not.
        return config if effort == "none" else {**config, "includeThoughts": True}


def find_model(name: str | None) -> Model:
    """The model by the client's name for it. Raises ApiError (400) if the name is empty."""
    bare = _PREFIX.sub("", name or "")
    if not bare:
        raise bad_request("A request to Gemini has to name a model", "model")
    known = (generation for pattern, generation in _GENERATIONS if pattern.match(bare))
    return Model(bare, next(known, OTHER))

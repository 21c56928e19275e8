"""Gemini's token counts as OpenAI's usage."""

from collections.abc import Mapping
from typing import Any

from backends.jsonio import Json


class TokenCounts:
    """The counts of one answer. Each event of a stream carries totals so far, not differences."""

    def __init__(self) -> None:
        self._counts: Json = {}

    def update(self, metadata: object) -> None:
        """Take note of a `usageMetadata`; what is missing or 0 in a later one holds on."""
        if isinstance(metadata, dict):
            self._counts |= {name: count for name, count in metadata.items() if count}

    def to_openai(self) -> Json:
        """OpenAI's usage object; cached tokens are in the prompt's count already."""
        prompt = self._count("promptTokenCount") + self._count("toolUsePromptTokenCount")
        answer, thoughts = self._count("candidatesTokenCount"), self._count("thoughtsTokenCount")
        total = self._count("totalTokenCount")
        # Through some gateways the candidates' count includes the thoughts.
        completion = answer if thoughts and prompt + answer == total else answer + thoughts
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": total or prompt + completion,
            "prompt_tokens_details": {
                "cached_tokens": self._count("cachedContentTokenCount"),
                "audio_tokens": _audio(self._counts.get("promptTokensDetails")),
            },
            "completion_tokens_details": {
                "reasoning_tokens": thoughts,
                "audio_tokens": _audio(self._counts.get("candidatesTokensDetails")),
            },
        }

    def _count(self, name: str) -> int:
        return _integer(self._counts.get(name))


def _audio(details: Any) -> int:
    """The tokens of audio in `[{"modality": "AUDIO", "tokenCount": 3}, ...]`."""
    return sum(
        _integer(each.get("tokenCount"))
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, Mapping) and each.get("modality") == "AUDIO"
    )


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0

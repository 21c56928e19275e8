"""Converts Gemini's token counts to OpenAI's usage."""

from backends.jsonio import Json, count, fields, objects


class TokenCounts:
    """The counts of one response. Each event of a stream carries running totals."""

    def __init__(self) -> None:
        self._counts: Json = {}

    def update(self, metadata: object) -> None:
        """Read a `usageMetadata`. A count that is missing or 0 keeps its last value."""
        self._counts |= {name: value for name, value in fields(metadata).items() if value}

    def to_openai(self) -> Json:
        """OpenAI's usage object. Gemini's prompt count includes cached tokens, as OpenAI's does."""
        prompt = self._count("promptTokenCount") + self._count("toolUsePromptTokenCount")
        answer, thoughts = self._count("candidatesTokenCount"), self._count("thoughtsTokenCount")
        total = self._count("totalTokenCount")
        # Behind some gateways the count of the candidates includes the thoughts.
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
        return count(self._counts.get(name))


def _audio(details: object) -> int:
    """The audio tokens in `[{"modality": "AUDIO", "tokenCount": 3}, ...]`."""
    return sum(
        count(each.get("tokenCount"))
        for each in objects(details)
        if each.get("modality") == "AUDIO"
    )

"""The parts of `proxy.yaml` that are more than one value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from backends import model_id
from backends.model_id import ModelId
from commands.config.values import Backend, Count, Seconds, must
from commands.errors import CommandError
from commands.routing.routes import POLICIES, Policy, parse_element
from commands.settings import PROXY_WIDE

LLM_HOSTS = (
    "api.openai.com",
    "openrouter.ai",
    "generativelanguage.googleapis.com",
    "api.anthropic.com",
    "api.mistral.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.x.ai",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.cerebras.ai",
    "api.moonshot.ai",
)

# Names that agents use towards their own vendor, put to who serves them here.
MODEL_MAPPING: Mapping[str, tuple[str, ...]] = {
    "gemini-*": ("gemini:{model}", "openrouter:google/{model}"),
    "gpt-*": ("openrouter:openai/{model}",),
    "chatgpt-*": ("openrouter:openai/{model}",),
    "codex-*": ("openrouter:openai/{model}",),
    "o[0-9]*": ("openrouter:openai/{model}",),
    "claude-*": ("openrouter:anthropic/{model}",),
}


def _check_target(text: str) -> str:
    if not model_id.parse(text).backend:
        raise ValueError
    return text


_Target = Annotated[
    str,
    AfterValidator(_check_target),
    must("be <backend>:<model>, where {model} stands for the requested name"),
]

ModelMapping = Annotated[
    Mapping[
        str,
        Annotated[
            tuple[_Target, ...],
            BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
            must("be a target or a list of targets"),
        ],
    ],
    must("be a mapping from patterns to targets"),
]


def _to_element(text: str) -> ModelId:
    try:
        return parse_element(text)
    except CommandError as error:
        raise ValueError(str(error)) from None


class RouteSection(BaseModel):
    """A failover route: the policy, and the models to try as `<backend>:<model>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Annotated[Policy, must(f"be one of {', '.join(POLICIES)}")]
    elements: tuple[Annotated[ModelId, BeforeValidator(_to_element)], ...] = ()


FailoverRoutes = Annotated[
    Mapping[str, RouteSection], must("be a mapping from names to a policy and elements")
]


def _check_proxy_wide(text: str) -> str:
    if text not in PROXY_WIDE:
        raise ValueError
    return text


_ProxyWide = Annotated[
    str, AfterValidator(_check_proxy_wide), must(f"be one of {', '.join(PROXY_WIDE)}")
]
ProxyWide = Annotated[tuple[_ProxyWide, ...], must("be a list of names, or [] for none")]
Timeouts = Annotated[Mapping[Backend, Seconds], must("be a mapping from backends to seconds")]


class SessionLimits(BaseModel):
    """How much is remembered, and where sessions are written down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max: Count = 1000
    history: Count = 200
    log_dir: Path | None = None

"""Check the shape of a router's YAML: everything that LiteLLM would only show at the first call.

`model_list` and `router_settings` have the same shape in a proxy's config. What the settings are called and of which
type they are is read off the installed LiteLLM.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any

import litellm
from litellm.constants import DEFAULT_CHAT_COMPLETION_PARAM_VALUES
from litellm.types.router import LiteLLM_Params
from litellm.types.utils import all_litellm_params
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from litellm_maas.budgets.budget import Budgets
from litellm_maas.did_you_mean import did_you_mean
from litellm_maas.router.lint.diagnostics import Diagnostic, error
from litellm_maas.yaml_file import Document, Location

_NOT_FROM_YAML = frozenset(
    {"self", "model_list", "fallback_access_check", "fallback_budget_check", "auto_router_capability_limit"}
)
_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(gt=0)]
_Fallbacks = list[Mapping[str, list[Any]]]

# LiteLLM's own annotations take negative numbers and say `list` where its code needs more.
_STRICTER_TYPES: dict[str, Any] = {
    "allowed_fails": _Count,
    "content_policy_fallbacks": _Fallbacks,
    "context_window_fallbacks": _Fallbacks,
    "cooldown_time": _Seconds,
    "fallbacks": _Fallbacks,
    "max_fallbacks": _Count,
    "model_group_retry_policy": Mapping[str, Mapping[str, int]],
    "num_retries": _Count,
    "retry_after": _Count,
    "retry_policy": Mapping[str, int],
    "allowed_fails_policy": Mapping[str, int],
    "stream_timeout": _Seconds,
    "timeout": _Seconds,
}
ENV_PREFIX = "os.environ/"
"""How a config refers to an environment variable."""

FALLBACK_LISTS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


class _Params(BaseModel):
    """What a deployment passes with each call; LiteLLM takes any parameter of any provider besides these."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)]
    api_key: str | None = None
    api_base: str | None = None
    order: _Count | None = None
    timeout: _Seconds | None = None
    stream_timeout: _Seconds | None = None
    num_retries: _Count | None = None
    max_retries: _Count | None = None


class _Deployment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model_name: Annotated[str, Field(min_length=1)]
    litellm_params: _Params
    model_info: Mapping[str, Any] = Field(default_factory=dict)
    tpm: _Count | None = None
    rpm: _Count | None = None


class ModelList(BaseModel):
    """The `model_list` of a file, which may hold more."""

    model_config = ConfigDict(extra="ignore")

    model_list: tuple[_Deployment, ...] = ()


class RateLimitSection(BaseModel):
    """The client-side rate limit, as `MAAS_RPM` and `MAAS_RPM_MAX_WAIT` set it."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Annotated[int, Field(gt=0)]
    max_wait: _Seconds = 300.0


class RouterFile(BaseModel):
    """What `load_router` reads."""

    model_config = ConfigDict(extra="forbid")

    model_list: tuple[_Deployment, ...]
    router_settings: Mapping[str, Any] = Field(default_factory=dict)
    budgets: Budgets = ()
    rate_limit: RateLimitSection | None = None


@cache
def settings_model() -> type[BaseModel]:
    """Return the router settings that the installed LiteLLM takes."""
    fields: dict[str, Any] = {
        name: (_STRICTER_TYPES.get(name, parameter.annotation), None)
        for name, parameter in inspect.signature(litellm.Router.__init__).parameters.items()
        if name not in _NOT_FROM_YAML
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model("RouterSettings", __config__=config, **fields)


def schema_errors(document: Document, model: type[BaseModel]) -> Iterator[Diagnostic]:
    """Yield what a schema finds wrong with a document, and for an unknown key what was probably meant."""
    try:
        model.model_validate(document.marked)
    except ValidationError as invalid:
        for found in document.errors(invalid, {*model.model_fields, *_Deployment.model_fields}):
            yield Diagnostic("error", found)


def settings(document: Document) -> Iterator[Diagnostic]:
    """Yield what is wrong with router settings: names and types."""
    later = [name for name, value in document.data.items() if isinstance(value, str) and value.startswith(ENV_PREFIX)]
    yield from schema_errors(document.without_keys(*later), settings_model())


def unknown_params(document: Document, params: Mapping[str, Any], at: Location) -> Iterator[Diagnostic]:
    """Parameters of a deployment that look like slips: others than LiteLLM's own go to the gateway as they are."""
    for name in params:
        if name not in _PARAMS and (hint := did_you_mean(str(name), _PARAMS)):
            yield error(document, (*at, name), "would go to the gateway as a parameter of that name", hint)


_PARAMS = frozenset(
    {
        *LiteLLM_Params.model_fields,
        *DEFAULT_CHAT_COMPLETION_PARAM_VALUES,
        *all_litellm_params,
        *_Params.model_fields,
        "extra_body",
    }
)

"""Settings that a request may change, under the operator's ceilings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_selectllm.integrations.server.adapter import (
    RouterSettings,
    ServedRouter,
    allowed_policies,
    default_settings,
)
from langchain_selectllm.integrations.server.errors import ApiError, invalid
from langchain_selectllm.integrations.server.settings import KnobName, ServerSettings

_HEADER = "x-selectllm-"
MODEL = "selectllm"
"""Name of the model that is the router; "selectllm/POLICY" is the router under another policy."""


class Knobs(BaseModel):
    """The object `selectllm` of a request's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: str | None = None
    max_calls: Annotated[int, Field(ge=1)] | None = None
    patience: Literal["tuned"] | Annotated[float, Field(gt=0, le=1)] | None = None
    patience_after_s: Annotated[float, Field(gt=0)] | None = None
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    below_confidence: str | None = None
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    sticky_key: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    explain: bool | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The knobs that are set."""
        return self.model_dump(exclude_none=True)


def with_headers(knobs: Knobs | None, headers: Mapping[str, str]) -> Knobs:
    """The knobs of the body, completed by those of headers such as `x-selectllm-max-calls`.

    Raises:
        ApiError: If a header has a wrong value.
    """
    found: dict[str, Any] = {}
    for name in get_args(KnobName):
        value = headers.get(_HEADER + name.replace("_", "-"))
        if value is not None:
            found[name] = value
    if not found:
        return knobs or Knobs()
    own = knobs.given if knobs is not None else {}
    try:
        return Knobs(**{**found, **own})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(problem["loc"][0])
        raise invalid(f"Header {_HEADER}{name.replace('_', '-')}: {problem['msg']}.", param=name) from None


def apply_knobs(knobs: Knobs, model: str, settings: ServerSettings, served: ServedRouter) -> RouterSettings:
    """The router's settings of one request.

    Args:
        knobs: Settings of the request.
        model: "selectllm", "selectllm/POLICY" or a member's name.
        settings: The operator's defaults and ceilings.
        served: The router that will answer.

    Raises:
        ApiError: With status 404 for an unknown model, 400 for a knob that is not free or beyond its ceiling.
    """
    _check_free(knobs, settings)
    policy = _policy(knobs, model, settings, served)
    chosen = default_settings(settings, policy)
    if knobs.max_calls is not None:
        _check_ceiling("max_calls", knobs.max_calls, settings.max_calls)
        chosen = replace(chosen, max_calls=knobs.max_calls)
    if knobs.patience is not None:
        chosen = replace(chosen, patience=knobs.patience)
    if knobs.patience == "tuned":
        # That level has seconds of its own.
        chosen = replace(chosen, patience_after_s=None)
    if knobs.patience_after_s is not None:
        chosen = replace(chosen, patience_after_s=knobs.patience_after_s)
    if knobs.deadline_s is not None:
        _check_ceiling("deadline_s", knobs.deadline_s, settings.deadline_s)
        chosen = replace(chosen, deadline_s=knobs.deadline_s)
    if knobs.min_confidence is not None:
        if knobs.min_confidence < (settings.min_confidence or 0.0):
            raise _refused(
                "min_confidence", f"{knobs.min_confidence} is below the operator's {settings.min_confidence}"
            )
        chosen = replace(chosen, min_confidence=knobs.min_confidence)
    if knobs.below_confidence is not None:
        chosen = replace(chosen, below_confidence=knobs.below_confidence)
    return chosen


def unknown_model(model: str) -> ApiError:
    """Refusal of a model that is not served."""
    message = f"The model {model!r} does not exist. GET /v1/models lists the models."
    return ApiError(status=404, message=message, param="model", code="model_not_found")


def _policy(knobs: Knobs, model: str, settings: ServerSettings, served: ServedRouter) -> str:
    name, slash, policy = model.partition("/")
    allowed = allowed_policies(settings, served)
    if settings.expose_members and model in served.members:
        return allowed[0]
    if name != MODEL or (slash and policy not in allowed):
        raise unknown_model(model)
    if knobs.policy is not None and knobs.policy not in allowed:
        raise _refused("policy", f"{knobs.policy!r} is not one of {', '.join(allowed)}")
    if slash and knobs.policy not in (None, policy):
        raise _refused("policy", f"{knobs.policy!r} contradicts the model {model!r}")
    return knobs.policy or policy or allowed[0]


def _check_free(knobs: Knobs, settings: ServerSettings) -> None:
    for name in knobs.given:
        if name not in settings.free_knobs:
            raise _refused(name, "the operator does not let requests change it")
    if knobs.sticky_key is not None and not settings.sticky_threads:
        raise _refused("sticky_key", "this server does not remember conversations (sticky_threads is 0)")


def _check_ceiling(name: str, value: float, ceiling: float | None) -> None:
    if ceiling is not None and value > ceiling:
        raise _refused(name, f"{value:g} is above the operator's ceiling {ceiling:g}")


def _refused(name: str, reason: str) -> ApiError:
    return invalid(f"selectllm.{name}: {reason}.", param=f"selectllm.{name}", code="knob_refused")

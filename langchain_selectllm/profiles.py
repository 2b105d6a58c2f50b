"""What a pool can do and what identifies it, from what its members say of themselves."""

from typing import Any, cast

from langchain_core.language_models import ModelProfile

from langchain_selectllm.registry import ModelRegistry
from langchain_selectllm.wrappers import described, raw_models


def pool_profile(models: ModelRegistry) -> ModelProfile | None:
    """The minimum over the members: what every one of them can do, and the smallest of their limits.

    What some member says nothing about is left out, unless another one denies it. None where nothing is left.
    """
    profiles = [cast("dict[str, Any]", raw.profile or {}) for member in models.values() for raw in raw_models(member.model)]
    lowest: dict[str, Any] = {}
    for name in dict.fromkeys(name for profile in profiles for name in profile):
        values = [profile[name] for profile in profiles if name in profile]
        if all(isinstance(value, bool) for value in values):
            if len(values) == len(profiles) or not all(values):
                lowest[name] = all(values)
        elif all(isinstance(value, int | float) for value in values) and len(values) == len(profiles):
            lowest[name] = min(values)
    return cast("ModelProfile", lowest) if lowest else None


def member_params(models: ModelRegistry) -> dict[str, Any]:
    """What replies depend on, by member: its chat models and their wrappers, and what ties and costs are told from."""
    return {
        name: [
            described(member.model),
            member.price_input_usd_per_million,
            member.price_output_usd_per_million,
            member.latency_s,
        ]
        for name, member in models.items()
    }


def callable_name(value: Any) -> str:
    """What tells a function from others, the same in every process for one that has a name; the representation of the rest."""
    name = getattr(value, "__qualname__", "<")
    return repr(value) if "<" in name else f"{value.__module__}.{name}"

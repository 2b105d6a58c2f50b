"""Registry whose unpriced members get the prices of the `genai-prices` catalogue."""

from collections.abc import Mapping
from dataclasses import replace

from langchain_selectllm._optional import require
from langchain_selectllm.members.prices import CataloguePrices
from langchain_selectllm.members.providers import ChatModel
from langchain_selectllm.members.registry import Member, ModelRegistry
from langchain_selectllm.members.tool_binding import raw_models


def with_catalogue_prices(models: Mapping[str, ChatModel | Member]) -> ModelRegistry:
    """Returns the members, those without prices of their own with the prices of `genai-prices`.

    A member's provider and model are those that its chat model reports to traces. A member that wraps several
    chat models, or one that the catalogue does not know, stays without prices.

    Args:
        models: Chat models by name, or `Member`s.

    Raises:
        MissingDependencyError: If `genai-prices` is not installed.
    """
    require("genai_prices", extra="prices", needed_by="with_catalogue_prices")
    priced = {}
    for name, member in ModelRegistry(models).items():
        if member.prices is None:
            member = replace(member, catalogue=_listed(member.model))  # noqa: PLW2901 - the same member
        priced[name] = member
    return ModelRegistry(priced)


def _listed(model: ChatModel) -> CataloguePrices | None:
    """Prices of a member's only chat model; None where there are several, or the catalogue has none."""
    raw = list(raw_models(model))
    if len(raw) != 1:
        return None
    reported = raw[0]._get_ls_params()  # noqa: SLF001 - LangChain's own name of provider and model
    provider, name = reported.get("ls_provider"), reported.get("ls_model_name")
    if not provider or not name:
        return None
    return CataloguePrices.find(name, provider)

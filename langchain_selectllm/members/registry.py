"""Registry of a pool: chat models by name, in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_selectllm.exceptions import MemberMismatchError, PoolFileError
from langchain_selectllm.members.providers import ChatModel, as_chat_model, connect

if TYPE_CHECKING:
    from langchain_selectllm.members.pool_file import MemberSpec
    from langchain_selectllm.members.prices import CallCost, CataloguePrices, Prices

__all__ = ["ChatModel", "Member", "ModelRegistry", "connect_member"]


@dataclass(frozen=True)
class Member:
    """One registered chat model with its prices and latency."""

    model: ChatModel
    price_input_usd_per_million: float | None = None
    """US dollars for a million input tokens; None when unknown."""
    price_output_usd_per_million: float | None = None
    """US dollars for a million output tokens; None when unknown."""
    latency_s: float | None = None
    """Recorded seconds per call, for the tie rule; the artefact's own figure when None."""
    price_cache_read_usd_per_million: float | None = field(default=None, kw_only=True)
    """US dollars for a million input tokens read from the provider's cache; the input price when None."""
    price_cache_write_usd_per_million: float | None = field(default=None, kw_only=True)
    """US dollars for a million input tokens written to it; the input price when None."""
    price_reasoning_usd_per_million: float | None = field(default=None, kw_only=True)
    """US dollars for a million output tokens of reasoning; the output price when None."""
    catalogue: "CataloguePrices | None" = field(default=None, kw_only=True)
    """Prices used where input or output have none of their own; see `with_catalogue_prices`."""

    @property
    def prices(self) -> "Prices | None":
        """The member's own prices, else the catalogue's; None without either."""
        if self.price_input_usd_per_million is None or self.price_output_usd_per_million is None:
            return self.catalogue
        # A pool is made without the modules of prices.
        from langchain_selectllm.members.prices import TokenPrices

        return TokenPrices(
            input=self.price_input_usd_per_million,
            output=self.price_output_usd_per_million,
            cache_read=self.price_cache_read_usd_per_million,
            cache_write=self.price_cache_write_usd_per_million,
            reasoning=self.price_reasoning_usd_per_million,
        )

    def cost(self, usage: Mapping[str, Any] | None) -> "CallCost | None":
        """Returns the cost of one call by its `usage_metadata`; None without prices or token counts.

        A reply from LangChain's cache (`set_llm_cache`), which carries a total cost of 0, costs nothing.
        """
        if usage is None:
            return None
        if usage.get("total_cost") == 0:
            from langchain_selectllm.members.prices import FREE

            return FREE
        prices = self.prices
        if prices is None or "input_tokens" not in usage:
            return None
        return prices.cost(usage)

    def cost_usd(self, usage: Mapping[str, Any] | None) -> float | None:
        """Returns the cost of one call in US dollars; see `cost`."""
        cost = self.cost(usage)
        if cost is None:
            return None
        return cost.total_usd


def connect_member(name: str, spec: "MemberSpec", *, max_retries: int = 2) -> Member:
    """Returns the member of one entry of a pool file; no model is called.

    Args:
        name: Name of the member, for errors.
        spec: Its entry in the pool file.
        max_retries: Attempts after a failed one that the provider's client makes by itself.

    Raises:
        PoolFileError: If the provider refuses its settings, or the catalogue has no prices for it.
        MissingDependencyError: If the provider's package is not installed.
    """
    return Member(
        connect(name, spec, max_retries=max_retries),
        price_input_usd_per_million=spec.price_input_usd_per_million,
        price_output_usd_per_million=spec.price_output_usd_per_million,
        price_cache_read_usd_per_million=spec.price_cache_read_usd_per_million,
        price_cache_write_usd_per_million=spec.price_cache_write_usd_per_million,
        price_reasoning_usd_per_million=spec.price_reasoning_usd_per_million,
        catalogue=_catalogue_prices(name, spec),
    )


def _catalogue_prices(name: str, spec: "MemberSpec") -> "CataloguePrices | None":
    from langchain_selectllm.members.prices import CataloguePrices

    if not spec.catalogue_prices:
        return None
    provider, separator, model = spec.model.partition(":")
    prices = CataloguePrices.find(model, provider) if separator else CataloguePrices.find(spec.model, None)
    if prices is None:
        raise PoolFileError(
            f"Member {name!r} ({spec.model}) is not in the catalogue of genai-prices. Give it "
            "price_input_usd_per_million and price_output_usd_per_million, and leave catalogue_prices out."
        )
    return prices


class ModelRegistry(Mapping[str, Member]):
    """Ordered names of members with their chat models."""

    def __init__(self, models: Mapping[str, ChatModel | Member | str]) -> None:
        """Register chat models.

        Args:
            models: Chat models by name, or `Member`s where prices or latencies are known. Provider strings
                such as "openai:gpt-4o-mini" are connected by `init_chat_model`.

        Raises:
            MemberMismatchError: If there is no model, a name is empty, or a member returns no message.
            PoolFileError: If a provider refuses a model, or misses its key in the environment.
            MissingDependencyError: If the package of a provider is not installed.
        """
        if not models or not all(models):
            raise MemberMismatchError(
                f"The registry got the names {list(models)}. Give at least one, none of them empty."
            )
        self._members: dict[str, Member] = {}
        for name, model in models.items():
            if not isinstance(model, Member):
                self._members[name] = Member(as_chat_model(name, model))
                continue
            connected = as_chat_model(name, model.model)
            self._members[name] = model
            if connected is not model.model:
                self._members[name] = replace(model, model=connected)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Returns the members of a pool file, as `selectllm collect` takes it; no model is called.

        Raises:
            PoolFileError: If the file is malformed, or a provider refuses its settings.
            MissingDependencyError: If a provider's package is not installed.
        """
        from langchain_selectllm.members.pool_file import read_pool_file

        return cls({name: connect_member(name, spec) for name, spec in read_pool_file(path).members.items()})

    def __getitem__(self, name: str) -> Member:
        try:
            return self._members[name]
        except KeyError:
            raise KeyError(f"{name!r} is not registered. Registered: {', '.join(self._members)}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def subset(self, names: Sequence[str]) -> "ModelRegistry":
        """Returns the registry of some of the members, in the given order.

        Raises:
            KeyError: If a name is not registered.
        """
        return ModelRegistry({name: self[name] for name in names})

    def check_covers(self, members: Sequence[str]) -> None:
        """Raises an error unless the registered names are exactly the members of a classifier, in any order.

        Raises:
            MemberMismatchError: If either has a name that the other lacks.
        """
        only_fitted = [name for name in members if name not in self]
        only_registered = [name for name in self if name not in members]
        if not (only_fitted or only_registered):
            return
        advice = []
        if only_registered:
            advice.append(
                f"Missing from the classifier: {', '.join(map(repr, only_registered))}. Fit with their "
                "outcomes, or pass registry.subset(classifier.members)."
            )
        if only_fitted:
            advice.append(
                f"Missing from the registry: {', '.join(map(repr, only_fitted))}. Register them, or fit on "
                "outcomes without them."
            )
        raise MemberMismatchError(
            f"The classifier was fitted for members {tuple(members)}; the registry has {tuple(self)}. "
            f"{' '.join(advice)}"
        )

"""Prices of tokens, own ones or those of the `genai-prices` catalogue, and the cost of a call by them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from typing_extensions import override

from langchain_selectllm._optional import require


@dataclass(frozen=True, kw_only=True)
class CallCost:
    """Cost of one call, or of several, in US dollars."""

    input_usd: float
    output_usd: float

    @property
    def total_usd(self) -> float:
        """Input and output together."""
        return self.input_usd + self.output_usd

    def __add__(self, other: "CallCost") -> "CallCost":
        """Cost of both."""
        return CallCost(
            input_usd=self.input_usd + other.input_usd, output_usd=self.output_usd + other.output_usd
        )


FREE = CallCost(input_usd=0.0, output_usd=0.0)


class Prices(Protocol):
    """Prices of one model."""

    def cost(self, usage: Mapping[str, Any]) -> CallCost:
        """Cost of a call by its `usage_metadata`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TokenPrices(Prices):
    """US dollars for a million tokens of each kind."""

    input: float
    output: float
    cache_read: float | None = None
    """Input tokens read from the provider's cache; as `input` when None."""
    cache_write: float | None = None
    """Input tokens written to the provider's cache; as `input` when None."""
    reasoning: float | None = None
    """Output tokens of reasoning; as `output` when None."""

    @override
    def cost(self, usage: Mapping[str, Any]) -> CallCost:
        """Cost of a call; the details of `usage_metadata` are parts of its token counts."""
        input_usd = usage["input_tokens"] * self.input
        input_usd += _surcharge(usage, "input", "cache_read", self.cache_read, self.input)
        input_usd += _surcharge(usage, "input", "cache_creation", self.cache_write, self.input)
        output_usd = usage["output_tokens"] * self.output
        output_usd += _surcharge(usage, "output", "reasoning", self.reasoning, self.output)
        return CallCost(input_usd=input_usd / 1e6, output_usd=output_usd / 1e6)


def _surcharge(usage: Mapping[str, Any], side: str, kind: str, price: float | None, usual: float) -> float:
    """Dollars per million that tokens of a kind cost beyond the usual price."""
    if price is None:
        return 0.0
    return _detail(usage, side, kind) * (price - usual)


def _detail(usage: Mapping[str, Any], side: str, kind: str) -> int:
    """Tokens of a kind, such as those read from a cache; 0 where they are not counted."""
    details: Mapping[str, Any] = usage.get(f"{side}_token_details") or {}
    return int(details.get(kind) or 0)


@dataclass(frozen=True, kw_only=True)
class CataloguePrices(Prices):
    """Prices of a model in the catalogue of `genai-prices`, as of the day of the call.

    The catalogue comes with the package; no network is used.
    """

    model: str
    provider: str | None
    """The catalogue's or LangChain's name of the provider; found by the model's name when None."""

    @classmethod
    def find(cls, model: str, provider: str | None) -> Self | None:
        """The prices of a model; None where the catalogue has none.

        Raises:
            MissingDependencyError: If `genai-prices` is not installed.
        """
        prices = cls(model=model, provider=provider)
        try:
            prices.cost({"input_tokens": 1, "output_tokens": 1})
        except LookupError:
            return None
        return prices

    @override
    def cost(self, usage: Mapping[str, Any]) -> CallCost:
        """Cost of a call, with tiers and cached tokens as the catalogue knows them."""
        genai_prices = require("genai_prices", extra="prices", needed_by="A catalogue of prices")
        counts = {
            "input_tokens": math.ceil(usage["input_tokens"]),
            "output_tokens": math.ceil(usage["output_tokens"]),
            "cache_read_tokens": _detail(usage, "input", "cache_read"),
            "cache_write_tokens": _detail(usage, "input", "cache_creation"),
            "output_reasoning_tokens": _detail(usage, "output", "reasoning"),
        }
        price = genai_prices.calc_price(genai_prices.Usage(**counts), self.model, provider_id=self.provider)
        return CallCost(input_usd=float(price.input_price), output_usd=float(price.output_price))

"""What a call costs before it is made: expected, and at most."""

from collections.abc import Iterable

from langchain_selectllm.collection.inputs import PoolMember
from langchain_selectllm.exceptions import PoolFileError

_BYTES_A_TOKEN = 4.0
# Roles and separators that a chat template puts around two messages.
_TEMPLATE_TOKENS = 128


def expected_cost_usd(member: PoolMember, prompt: str, output_tokens: float | None) -> float | None:
    """What a call will cost if its reply has that many tokens; None when a price or the length is unknown."""
    if output_tokens is None:
        return None
    return _cost(member, _n_bytes(member, prompt) / _BYTES_A_TOKEN, output_tokens)


def most_cost_usd(member: PoolMember, prompt: str) -> float | None:
    """What a call can cost at most, as no token is shorter than a byte; None without prices or `max_tokens`."""
    if member.spec.max_tokens is None:
        return None
    return _cost(member, _n_bytes(member, prompt) + _TEMPLATE_TOKENS, member.spec.max_tokens)


def check_affordable(members: Iterable[PoolMember], max_cost_usd: float | None) -> None:
    """Whether the cost of every call is bounded, where there is a limit to keep.

    Raises:
        PoolFileError: If a member lacks prices or `max_tokens`.
        ValueError: If the limit is negative.
    """
    if max_cost_usd is None:
        return
    if not max_cost_usd >= 0:
        raise ValueError(f"max_cost_usd is {max_cost_usd!r}. Use a number from 0.")
    for member in members:
        if most_cost_usd(member, "") is None:
            raise PoolFileError(
                f"Member {member.name!r} has no bound on the cost of a call, so that max_cost_usd cannot be kept. Give it "
                "price_input_usd_per_million, price_output_usd_per_million and max_tokens (prices 0 where it is free)."
            )


def _n_bytes(member: PoolMember, prompt: str) -> int:
    return len(f"{member.spec.system_prompt or ''}{prompt}".encode("utf-8", "replace"))


def _cost(member: PoolMember, input_tokens: float, output_tokens: float) -> float | None:
    return member.member.cost_usd({"input_tokens": input_tokens, "output_tokens": output_tokens})

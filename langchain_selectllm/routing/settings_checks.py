"""Checks of the settings that a router is made with, whether a request uses them or not."""

import difflib
from collections.abc import Iterable

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.pool_statistics import PoolStatistics

STANDARD_PARAMETERS = frozenset(
    {"temperature", "max_tokens", "timeout", "max_retries", "api_key", "streaming"}
)
"""Parameters that LangChain's standard tests pass to every chat model; a pool's belong to its members."""


def check_names(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Checks that keyword arguments are fields.

    Raises:
        TypeError: If one is not; names the most similar field.
    """
    names = sorted(known)
    for name in given:
        if name in names:
            continue
        advice = f"It takes {', '.join(names)}."
        similar = difflib.get_close_matches(name, names, n=1)
        if similar:
            advice = f"Did you mean {similar[0]!r}?"
        raise TypeError(f"{owner} got an unexpected keyword argument {name!r}. {advice}")


def check_seconds(name: str, seconds: float | None) -> None:
    """Checks a deadline.

    Raises:
        PolicyError: If it is not above 0.
    """
    if seconds is not None and not seconds > 0:
        raise PolicyError(f"{name} is {seconds!r}. Use seconds above 0, or None for no deadline.")


def check_min_replies(min_replies: int | None, n_members: int) -> None:
    """Checks the number of replies below which other members are called.

    Raises:
        PolicyError: If it is below 1, or the pool has fewer members.
    """
    if min_replies is not None and not 1 <= min_replies <= n_members:
        raise PolicyError(
            f"min_replies is {min_replies}. Use 1 to {n_members}, the members of the pool, or None for half "
            "of the selection."
        )


def check_patience(
    patience: float | str | None, after_s: float | None, pool: PoolStatistics, *, early_stop: bool
) -> None:
    """Checks the level of confidence from which stragglers are not waited for, and its seconds.

    Raises:
        PolicyError: If one is out of range, no confidence was learned, no level was tuned, no call is ever
            given up, or seconds are given without a level of one's own.
    """
    if after_s is not None and (patience is None or patience == "tuned" or not after_s > 0):
        raise PolicyError(
            f"patience_after_s is {after_s!r}, with patience={patience!r}. Use seconds above 0 with a level "
            "such as patience=0.6; the tuned level has seconds of its own."
        )
    if patience is None:
        return
    if not early_stop:
        raise PolicyError("patience needs early_stop=True: without it every call is waited for.")
    if pool.vote is None:
        raise PolicyError(
            "patience needs a learned vote, which gives the probabilities of answers. Fit on outcomes with "
            "replies, or use None."
        )
    if patience == "tuned":
        if pool.patience is None:
            raise PolicyError(
                "No level of patience was tuned that costs at most 0.3 points of accuracy. Train again with "
                "more queries, or give a level such as 0.9."
            )
    elif isinstance(patience, str) or not 0 < patience <= 1:
        raise PolicyError(f"patience is {patience!r}. Use a lead above 0 and at most 1, or 'tuned'.")

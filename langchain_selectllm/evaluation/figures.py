"""Figures behind the report page: why the headline system is right or wrong, and at which price."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.category_figures import category_figures
from langchain_selectllm.evaluation.confidence_figures import confidence_figures
from langchain_selectllm.evaluation.frontier import PRICES, frontier, recommended, served
from langchain_selectllm.evaluation.member_value import MemberValue, member_figures
from langchain_selectllm.evaluation.oracle_gap import split_errors
from langchain_selectllm.evaluation.query_rows import query_rows
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.evaluation.report import SystemReport
from langchain_selectllm.evaluation.spending import calls_by_round, distributions
from langchain_selectllm.selection.policy_names import parse_policy


def report_figures(
    recording: Recording, replays: Sequence[Replay], headline: SystemReport | None, *, seed: int, rows: int
) -> dict[str, Any] | None:
    """The figures of the headline system as JSON types; None where there is no such system.

    Args:
        recording: The replayed queries.
        replays: All systems.
        headline: The system that the verdict is about.
        seed: Seed of bootstrap and simulation.
        rows: Wrongly answered queries to include with their texts, at most; 0 = none.
    """
    by_name = {replay.name: replay for replay in replays}
    if headline is None or by_name[headline.name].trace is None:
        return None
    ours = by_name[headline.name]
    assert ours.trace is not None
    bootstrap = Bootstrap(len(recording.outcomes), seed=seed)
    member_scores = recording.member_scores()
    split = split_errors(ours.trace, member_scores)
    compared = {headline.name: ours}
    for name in ("oracle", *_controls(headline)):
        compared[name] = by_name[name]
    can_serve = served(by_name)
    value = MemberValue(recording, parse_policy(headline.name), ours, bootstrap)
    return {
        "system": headline.name,
        "recommended": recommended(can_serve, bootstrap),
        "frontier": {price: frontier(can_serve, price) for price in PRICES},
        "members": member_figures(value, member_scores),
        "errors": {
            **split.to_dict(),
            "total": float(split.total.mean()),
            "oracle_gap": float((by_name["oracle"].score - ours.score).mean()),
        },
        "categories": category_figures(
            recording.outcomes.categories, compared, headline.name, split, seed=seed
        ),
        "confidence": confidence_figures(ours.confidence, ours.score, bootstrap, seed=seed),
        "distributions": [distributions(replay) for replay in replays],
        "rounds": calls_by_round(ours),
        "n_failed": int(np.count_nonzero(split.total > 0)),
        "rows": query_rows(recording, ours, split, member_scores, most=rows),
    }


def _controls(headline: SystemReport) -> list[str]:
    """Full names of the controls that the headline system is compared with."""
    return list(dict.fromkeys(versus.control for versus in headline.versus.values()))

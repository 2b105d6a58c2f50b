"""What was learned, with one more member."""

from dataclasses import replace

import numpy as np

from langchain_selectllm.classifier.fitted import Learned
from langchain_selectllm.classifier.fitting import check_outcomes, cross_fit, folds_of, search_pool
from langchain_selectllm.exceptions import MemberMismatchError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.pool_statistics import PoolStatistics, learn_pool


def with_member(
    learned: Learned, name: str, outcomes: OutcomeTable, *, validation: float, seed: int
) -> Learned:
    """The same with one more member; heads and calibration of the others stay bit for bit as they are.

    Raises:
        MemberMismatchError: If the member is there already.
        OutcomeError: If it has too few outcomes.
    """
    members = learned.pool.members
    if name in members:
        raise MemberMismatchError(f"{name!r} is a member already. Members: {', '.join(members)}.")
    alone = outcomes.subset([name])
    alone = alone.take(np.flatnonzero(alone.observed[:, 0]))
    check_outcomes(alone)
    features = learned.encoder.encode(alone.texts)
    folds = folds_of(len(alone), validation, seed)
    head, unseen = cross_fit(features, alone.scores, folds, c=learned.encoder.head_c, seed=seed)
    logits = np.column_stack([learned.heads.logits(features), unseen])
    return replace(
        learned,
        heads=learned.heads.with_member(head),
        calibration=learned.calibration.with_member(
            logits, learned.topics.probabilities(features), alone.scores[:, 0], seed=seed
        ),
        pool=_grown_pool(learned.pool, name, outcomes),
        summary=replace(
            learned.summary,
            outcomes={**learned.summary.outcomes, name: len(alone)},
            # One member labelled by agreement is enough for the mark.
            labels_from=learned.summary.labels_from
            if outcomes.labels_from == "references"
            else outcomes.labels_from,
        ),
        trained_on=learned.trained_on | frozenset(alone.query_digests),
    )


def _grown_pool(pool: PoolStatistics, name: str, outcomes: OutcomeTable) -> PoolStatistics:
    """The pool with one more member; fixed sets are searched again where all members' outcomes are given."""
    members = (*pool.members, name)
    if set(members) <= set(outcomes.members):
        searched, _ = search_pool(outcomes.subset(members))
        fixed_sets = searched.fixed_sets
    else:
        fixed_sets = pool.fixed_sets
    new = learn_pool(outcomes.subset([name]), {})
    return PoolStatistics(
        members=members,
        base_rates=np.append(pool.base_rates, new.base_rates),
        costs=np.append(pool.costs, new.costs),
        latencies=np.append(pool.latencies, new.latencies),
        fixed_sets=fixed_sets,
    )

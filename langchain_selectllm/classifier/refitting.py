"""Changes to a fitted classifier over the same encoder: more outcomes, or one more member."""

from dataclasses import replace

import numpy as np

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.classifier.fitted import Learned
from langchain_selectllm.classifier.fitting import check_outcomes, cross_fit, folds_of, learn_heads
from langchain_selectllm.classifier.pool_fitting import search_pool
from langchain_selectllm.exceptions import EncoderError, MemberMismatchError, OutcomeError
from langchain_selectllm.outcomes import OutcomeTable, combine
from langchain_selectllm.selection.pool_statistics import PoolStatistics, learn_pool


def refit(
    learned: Learned,
    outcomes: OutcomeTable,
    *,
    training: OutcomeTable | None,
    validation: float,
    seed: int,
    progress: StageProgress = silent,
) -> tuple[Learned, OutcomeTable]:
    """Learned state refitted on old and new outcomes over the same encoder, and those outcomes as one table.

    Args:
        learned: What was learned so far.
        outcomes: New outcomes of some or all members.
        training: The outcomes that it was learned from, if they are known; an artefact keeps no texts.
        validation: Share of the queries held out of each fit.
        seed: Seed of folds and solvers.
        progress: Called as training goes on.

    Raises:
        EncoderError: If the encoder was trained on outcomes itself.
        OutcomeError: If the training outcomes are not known, queries of them are missing, or a member of the
            new outcomes is
            unknown.
    """
    if learned.encoder.supervised:
        raise EncoderError(
            f"Encoder {learned.encoder.name!r} was trained on outcomes itself; its heads cannot be refitted. "
            "Fit a new classifier on combine(training, outcomes)."
        )
    if training is None:
        raise OutcomeError(
            "The training outcomes are unknown: the classifier was loaded (an artefact keeps none), or a "
            "member was added. Give them as `training`."
        )
    known = training.subset(learned.pool.members)
    missing = len(learned.trained_on - set(known.query_digests))
    if missing:
        raise OutcomeError(
            f"{missing} of {len(learned.trained_on)} training queries are missing in `training`. "
            "Give all outcomes that it was fitted and updated on."
        )
    together = combine(known, outcomes)
    refitted = learn_heads(together, learned.encoder, validation=validation, seed=seed, progress=progress)
    return refitted, together


def add_member(
    learned: Learned, name: str, outcomes: OutcomeTable, *, validation: float, seed: int
) -> Learned:
    """Learned state with one more member; heads and calibration of the others stay bit for bit as they are.

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
    # One member labelled by agreement marks the whole artefact.
    labels_from = learned.summary.labels_from
    if outcomes.labels_from != "references":
        labels_from = outcomes.labels_from
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
            labels_from=labels_from,
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

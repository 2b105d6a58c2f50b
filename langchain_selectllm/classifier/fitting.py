"""Fitting of encoder, heads and calibration on outcomes."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.classifier.calibration import StackedCalibration
from langchain_selectllm.classifier.fitted import Learned, TrainingSummary
from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.classifier.metrics import classifier_metrics
from langchain_selectllm.classifier.pool_fitting import MOST_HELD_OUT, learn_vote, search_pool
from langchain_selectllm.classifier.topics import Topics, topic_indicators, topic_softmax
from langchain_selectllm.encoders import Encoder, Features
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import OutcomeTable

_CALIBRATION_FOLDS = 5
"""Folds of the out-of-sample calibration. Five or ten are usual (Hastie, Tibshirani and
Friedman, The Elements of Statistical Learning, 2009, 7.10); not searched."""
_TOPIC_FOLDS = 3
"""Folds of the heads of topics. Chosen by training time on two seeds of MMLU-Pro: no selection changed in
accuracy beyond noise, see docs/explanation/research-log.md."""


def learn(
    outcomes: OutcomeTable,
    encoder: Encoder,
    *,
    validation: float,
    seed: int,
    progress: StageProgress = silent,
) -> Learned:
    """Fit encoder, heads, calibration and pool.

    Args:
        outcomes: Training outcomes; unobserved cells are left out.
        encoder: An encoder to fit.
        validation: Share of the queries held out of each fit.
        seed: Seed of folds and solvers.
        progress: Called as training goes on.

    Raises:
        OutcomeError: If there are fewer than two queries, or a member has no observed outcome.
    """
    check_outcomes(outcomes)
    progress("encode", 0.0)
    encoder.fit(outcomes.texts, outcomes.scores, folds_of(len(outcomes), validation, seed) == 0)
    return learn_heads(outcomes, encoder, validation=validation, seed=seed, progress=progress)


def learn_heads(
    outcomes: OutcomeTable,
    encoder: Encoder,
    *,
    validation: float,
    seed: int,
    progress: StageProgress = silent,
) -> Learned:
    """Fit heads, calibration and pool over an encoder that is fitted; arguments and errors as `learn`."""
    check_outcomes(outcomes)
    folds = folds_of(len(outcomes), validation, seed)
    features = encoder.encode(outcomes.texts)
    progress("encode", 1.0)
    if encoder.supervised:
        # Its features are logits already, and of the held-out fold alone they are out of sample.
        heads = LinearHeads.identity(len(outcomes.members))
        logits = np.where((folds == 0)[:, None], heads.logits(features), np.nan)
        topics = Topics((), LinearHeads.none(features.shape[1]))
        topic_logits = np.zeros((len(outcomes), 0))
    else:
        heads, logits, topics, topic_logits = _cross_fitted(
            outcomes, features, folds, c=encoder.head_c, seed=seed, progress=progress
        )
    # The largest arrays of training; pool and vote are learned without them.
    del features
    topic_shares = topic_softmax(topic_logits)
    unseen = np.asarray(~np.isnan(logits).any(axis=1))
    calibration = StackedCalibration.fit(
        logits[unseen], topic_shares[unseen], outcomes.scores[unseen], seed=seed
    )
    held_out = cross_calibrated(logits, topic_shares, outcomes.scores, unseen, seed=seed)
    pool, search = search_pool(outcomes, progress)
    pool, vote = learn_vote(outcomes, held_out, unseen, pool, seed=seed, progress=progress)
    complete = outcomes.scores[outcomes.observed.all(axis=1)]
    summary = TrainingSummary(
        n_queries=len(outcomes),
        outcomes={name: int(outcomes.observed[:, k].sum()) for k, name in enumerate(outcomes.members)},
        oracle=float(complete.max(axis=1).mean()) if len(complete) else float("nan"),
        metrics=classifier_metrics(held_out[unseen], outcomes.labels[unseen], pool.base_rates),
        fixed_set_search=search,
        vote=vote,
        answer=outcomes.answer,
        answer_type=outcomes.answer
        or Counter(kind or "text" for kind in outcomes.answer_types).most_common(1)[0][0],
        labels_from=outcomes.labels_from,
    )
    return Learned(encoder, heads, topics, calibration, pool, summary, frozenset(outcomes.query_digests))


def _cross_fitted(
    outcomes: OutcomeTable,
    features: Features,
    folds: NDArray[np.int64],
    *,
    c: float,
    seed: int,
    progress: StageProgress,
) -> tuple[LinearHeads, NDArray[np.float64], Topics, NDArray[np.float64]]:
    """Heads and topics fitted on everything, each with logits of fits that had not seen the query."""
    names, indicators = topic_indicators(outcomes.categories)
    n_predicted, topic_folds = _folds_predicted(folds), _topic_folds(len(outcomes), seed)
    if n_predicted is not None:
        # The same queries have to be held out of both.
        topic_folds = folds
    heads, logits = cross_fit(
        features,
        outcomes.scores,
        folds,
        n_predicted=n_predicted,
        c=c,
        seed=seed,
        progress=progress,
    )
    topic_heads, topic_logits = cross_fit(
        features, indicators, topic_folds, n_predicted=n_predicted, c=c, seed=seed
    )
    topics = Topics(names, topic_heads)
    return heads, logits, topics, topic_logits


def cross_fit(
    features: Features,
    scores: NDArray[np.float64],
    folds: NDArray[np.int64],
    *,
    c: float,
    seed: int,
    n_predicted: int | None = None,
    progress: StageProgress = silent,
) -> tuple[LinearHeads, NDArray[np.float64]]:
    """Heads fitted on everything, and logits (n, K) of heads that had not seen the query's fold.

    Logits are NaN outside of the first `n_predicted` folds; every fold is predicted when None.
    """
    logits = np.full(scores.shape, np.nan)
    n_folds = n_predicted or int(folds.max()) + 1
    for fold in range(n_folds):
        held_out = folds == fold
        heads = LinearHeads.fit(features, np.where(held_out[:, None], np.nan, scores), c=c, seed=seed)
        logits[held_out] = heads.logits(features[np.flatnonzero(held_out)])
        progress("fit", (fold + 1) / (n_folds + 1))
    heads = LinearHeads.fit(features, scores, c=c, seed=seed)
    progress("fit", 1.0)
    return heads, logits


def cross_calibrated(
    logits: NDArray[np.float64],
    topics: NDArray[np.float64],
    scores: NDArray[np.float64],
    unseen: NDArray[np.bool_],
    *,
    seed: int,
) -> NDArray[np.float64]:
    """Probabilities (n, K) of heads and calibrations that had not seen the query; NaN where heads had.

    Calibrated in sample, whom to ask for a query would look better on training queries than it is on others.
    """
    probabilities = np.full(logits.shape, np.nan)
    rows = np.flatnonzero(unseen)
    folds = np.random.default_rng(seed).permutation(len(rows)) % min(_CALIBRATION_FOLDS, len(rows))
    for fold in range(int(folds.max()) + 1):
        held_out, others = rows[folds == fold], rows[folds != fold]
        calibration = StackedCalibration.fit(logits[others], topics[others], scores[others], seed=seed)
        probabilities[held_out] = calibration.probabilities(logits[held_out], topics[held_out])
    return probabilities


def check_outcomes(outcomes: OutcomeTable) -> None:
    """Whether there is enough to learn from.

    Raises:
        OutcomeError: If there are fewer than two queries, or a member has no observed outcome.
    """
    if len(outcomes) < 2:
        raise OutcomeError(
            f"{len(outcomes)} training queries are too few. Give at least 2, better some hundreds."
        )
    counts = outcomes.observed.sum(axis=0)
    for name, count in zip(outcomes.members, counts, strict=True):
        if not count:
            raise OutcomeError(
                f"No outcome of {name!r} is observed. Give references or scores, or leave the member out."
            )


def folds_of(n: int, validation: float, seed: int) -> NDArray[np.int64]:
    """Fold of each query, (n,), of equal sizes; one fold holds about `validation` of the queries."""
    n_folds = min(max(round(1 / validation), 2), n)
    return np.random.default_rng(seed).permutation(n) % n_folds


def _folds_predicted(folds: NDArray[np.int64]) -> int | None:
    """Folds that hold the queries to predict out of fold; all of them, None, for a usual table."""
    if len(folds) <= MOST_HELD_OUT:
        return None
    return int(np.searchsorted(np.cumsum(np.bincount(folds)), MOST_HELD_OUT)) + 1


def _topic_folds(n: int, seed: int) -> NDArray[np.int64]:
    """Fold of each query for the heads of topics, (n,)."""
    return np.random.default_rng(seed).permutation(n) % min(_TOPIC_FOLDS, n)

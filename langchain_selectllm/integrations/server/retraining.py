"""A new router from served outcomes, compared with the old one on recent queries unseen by both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import OutcomeError, PolicyError
from langchain_selectllm.integrations.server.recent_outcomes import RecentOutcomes, with_feedback
from langchain_selectllm.outcomes import OutcomeTable, combine
from langchain_selectllm.selection.policy_names import default_policy, parse_policy, policy_name

LEAST_HELD_OUT = 30
"""Held-out queries below which a comparison says too little: the interval is about 25 points wide there."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Old and new router on the same held-out recent queries."""

    policy: str
    """Policy of both, or those of old and new, such as "selectllm:3 and weighted_max_conf:3"."""
    n_training: int
    """Queries that the new router was fitted on."""
    n_recent: int
    """Those of them that were served."""
    n_held_out: int
    old_accuracy: float
    new_accuracy: float
    old_calls: float
    """Mean calls of members per query."""
    new_calls: float
    low: float
    """Lower end of the 95 % interval of the difference (paired bootstrap over queries)."""
    high: float
    """Upper end of it."""

    @property
    def difference(self) -> float:
        """Accuracy of the new router less that of the old one."""
        return self.new_accuracy - self.old_accuracy

    @property
    def accepted(self) -> bool:
        """Whether the new router may replace the old one."""
        return self.difference >= 0.0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON."""
        return {**vars(self), "difference": self.difference, "accepted": self.accepted}


def retrain(
    old: SelectLLMClassifier,
    recent: RecentOutcomes,
    *,
    training: OutcomeTable | None = None,
    policy: str | None = None,
    held_out: float = 0.3,
    seed: int = 0,
) -> tuple[SelectLLMClassifier, Comparison]:
    """The new classifier, with the encoder of the old one, and its comparison with it.

    Args:
        old: The classifier that serves now.
        recent: Outcomes of served queries.
        training: The outcomes that the old classifier was fitted on; the new one rests on recent queries
            alone when None.
        policy: Policy of both routers in the comparison; the default of each when None.
        held_out: Share of the recent queries, the newest ones, that are compared on and not trained on.
        seed: Seed of the fit and the bootstrap.

    Raises:
        OutcomeError: If there are too few queries.
        PolicyError: If the policy cannot be applied to one of the two.
    """
    fitting, compared = recent.hold_out(held_out, _unseen(old, recent.agreement, training))
    if len(compared) < LEAST_HELD_OUT:
        raise OutcomeError(
            f"{len(compared)} recent queries are held out for the comparison; at least {LEAST_HELD_OUT} are "
            "needed. Serve longer, or raise the share of shadow calls or `held_out`."
        )
    table = with_feedback(fitting, _without(recent.feedback, compared))
    n_recent = len(table)
    if training is not None:
        table = combine(training.subset(old.members), table)
    new = SelectLLMClassifier(encoder=old.encoder, validation=old.validation, seed=seed)
    new.fit(table)
    comparison = _compare(old, new, compared, policy, seed, n_training=len(table), n_recent=n_recent)
    return new, comparison


def _compare(
    old: SelectLLMClassifier,
    new: SelectLLMClassifier,
    table: OutcomeTable,
    policy: str | None,
    seed: int,
    *,
    n_training: int,
    n_recent: int,
) -> Comparison:
    replays, policies = [], []
    for name, classifier in (("old", old), ("new", new)):
        chosen = policy or policy_name(default_policy(classifier.pool))
        try:
            replays.append(Recording.of(table, classifier).replay_policy(name, parse_policy(chosen)))
        except PolicyError as error:
            raise PolicyError(f"The {name} router cannot be compared under {chosen!r}: {error}") from error
        policies.append(chosen)
    before, after = replays
    low, high = Bootstrap(len(table), seed=seed).interval(after.score - before.score)
    return Comparison(
        policy=" and ".join(dict.fromkeys(policies)),
        n_training=n_training,
        n_recent=n_recent,
        n_held_out=len(table),
        old_accuracy=float(before.score.mean()),
        new_accuracy=float(after.score.mean()),
        old_calls=float(before.calls.mean()),
        new_calls=float(after.calls.mean()),
        low=low,
        high=high,
    )


def _unseen(
    old: SelectLLMClassifier, table: OutcomeTable, training: OutcomeTable | None
) -> NDArray[np.bool_]:
    """Which fully labelled queries are among the training outcomes neither by id nor by text, (n,)."""
    known: frozenset[str] = frozenset()
    if training is not None:
        known = frozenset(training.texts)
    complete: NDArray[np.bool_] = table.observed.all(axis=1) & ~old.trained_on(table)
    for i, text in enumerate(table.texts):
        complete[i] &= text not in known
    return complete


def _without(table: OutcomeTable | None, compared: OutcomeTable) -> OutcomeTable | None:
    if table is None:
        return None
    return _rows_outside(table, compared.query_ids)


def _rows_outside(table: OutcomeTable, query_ids: Sequence[str]) -> OutcomeTable | None:
    left_out = set(query_ids)
    rows = [i for i, query_id in enumerate(table.query_ids) if query_id not in left_out]
    if not rows:
        return None
    return table.take(rows)

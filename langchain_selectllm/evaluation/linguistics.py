"""Linguistic analysis: features that separate failures from successes, of the router and of each member.

The paper asks which queries its selection gets wrong though some member is right. The same question is
answered here by effect sizes with intervals, corrected for the number of tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.evaluation.effects import Effect, adjusted, cliffs_delta, p_value
from langchain_selectllm.evaluation.query_features import QueryFeatures, query_features
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.evaluation.replayable import (
    complete_queries,
    count_training_queries,
    members_outcomes,
)
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.policy_names import parse_policy

_FEWEST = 10
"""Queries per group below which groups are not compared."""


@dataclass(frozen=True, kw_only=True)
class GroupComparison:
    """Features of one group of queries beside those of another."""

    name: str
    first: str
    """The first group, in words."""
    second: str
    n_first: int
    n_second: int
    effects: tuple[Effect, ...]
    """One per feature; empty where a group has fewer than 10 queries."""

    def shown(self) -> list[Effect]:
        """Effects that are shown after the correction and not negligible, the largest first."""
        kept = [effect for effect in self.effects if effect.is_shown and effect.size != "negligible"]
        return sorted(kept, key=lambda effect: -abs(effect.delta))

    def sentence(self) -> str:
        """The comparison in plain words."""
        start = f"{self.first} ({self.n_first:,} queries) against {self.second} ({self.n_second:,}):"
        if not self.effects:
            return f"{start} too few queries to compare."
        shown = self.shown()
        if not shown:
            return f"{start} no feature separates them by more than a negligible effect."
        return f"{start} {'; '.join(map(_in_words, shown))}."

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            **vars(self),
            "effects": [effect.to_dict() for effect in self.effects],
            "sentence": self.sentence(),
        }


@dataclass(frozen=True, kw_only=True)
class FeatureOfMembers:
    """One feature over all members that were compared."""

    feature: str
    more: int
    """Members whose wrong answers have more of it: shown after the correction, not negligible."""
    less: int
    n_members: int
    median_delta: float


@dataclass(frozen=True, kw_only=True)
class LinguisticAnalysis:
    """Result of `analyze_queries`."""

    policy: str
    n_queries: int
    features: dict[str, str]
    """Definition of each feature."""
    comparisons: tuple[GroupComparison, ...]
    """First the router's failures, then each member's."""

    def features_of_members(self) -> list[FeatureOfMembers]:
        """The features that go with wrong answers of at least one member, in their order."""
        compared = [one.effects for one in self.comparisons[1:] if one.effects]
        rows = []
        for i, feature in enumerate(self.features):
            effects = [of_member[i] for of_member in compared]
            kept = [one for one in effects if one.is_shown and one.size != "negligible"]
            if not kept:
                continue
            more = sum(one.delta > 0 for one in kept)
            rows.append(
                FeatureOfMembers(
                    feature=feature,
                    more=more,
                    less=len(kept) - more,
                    n_members=len(effects),
                    median_delta=float(np.median([one.delta for one in effects])),
                )
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "policy": self.policy,
            "n_queries": self.n_queries,
            "features": dict(self.features),
            "comparisons": [one.to_dict() for one in self.comparisons],
        }


def analyze_queries(
    classifier: SelectLLMClassifier,
    outcomes: OutcomeTable,
    *,
    policy: str = "selectllm:3",
    allow_training_queries: bool = False,
    progress: StageProgress = silent,
) -> LinguisticAnalysis:
    """Which features of queries separate failures from successes.

    The router's failures are the queries on which some member is right and the policy is wrong; they are
    compared with those on which both are right. Each member's wrong answers are compared with its right ones.

    Args:
        classifier: A fitted classifier.
        outcomes: Outcomes of all its members; only fully observed queries are used.
        policy: The policy whose failures are analysed.
        allow_training_queries: Whether queries that the classifier was trained on may be used.
        progress: Called as the analysis goes on.

    Raises:
        LeakageError: If the table holds training queries and they are not allowed.
        MemberMismatchError: If outcomes of a member are missing.
        MissingDependencyError: If the extra `analyze` is not installed.
        OutcomeError: If no query is fully observed.
        PolicyError: If the policy is unknown.
    """
    table = members_outcomes(classifier, outcomes)
    count_training_queries(classifier, table, allowed=allow_training_queries)
    complete = complete_queries(table)
    progress("features", 0.0)
    features = query_features(complete.texts, complete.categories)
    progress("replay", 0.5)
    recording = Recording.of(complete, classifier)
    scores = recording.member_scores()
    ours = recording.trace(parse_policy(policy)).score >= 0.5
    oracle = scores.max(axis=1) >= 0.5
    failed = f"some member right, {policy} wrong"
    comparisons = [_compare(policy, failed, "both right", oracle & ~ours, oracle & ours, features)]
    for k, name in enumerate(classifier.members):
        right = scores[:, k] >= 0.5
        comparisons.append(_compare(name, f"{name} wrong", f"{name} right", ~right, right, features))
    progress("features", 1.0)
    return LinguisticAnalysis(
        policy=policy,
        n_queries=len(complete),
        features=dict(zip(features.names, features.definitions, strict=True)),
        comparisons=_corrected(comparisons),
    )


def _compare(
    name: str,
    first: str,
    second: str,
    in_first: NDArray[np.bool_],
    in_second: NDArray[np.bool_],
    features: QueryFeatures,
) -> GroupComparison:
    """One comparison with uncorrected p-values."""
    effects = []
    if min(in_first.sum(), in_second.sum()) >= _FEWEST:
        for feature, values in zip(features.names, features.values.T, strict=True):
            effects.append(_effect(feature, values[in_first], values[in_second]))
    return GroupComparison(
        name=name,
        first=first,
        second=second,
        n_first=int(in_first.sum()),
        n_second=int(in_second.sum()),
        effects=tuple(effects),
    )


def _effect(feature: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> Effect:
    delta, interval = cliffs_delta(first, second)
    p = p_value(first, second)
    return Effect(
        feature=feature,
        mean_first=float(first.mean()),
        mean_second=float(second.mean()),
        delta=delta,
        ci95=interval,
        p=p,
        p_adjusted=p,
    )


def _corrected(comparisons: Sequence[GroupComparison]) -> tuple[GroupComparison, ...]:
    """The same comparisons with p-values corrected over all of their tests together."""
    tests = [effect for one in comparisons for effect in one.effects]
    corrected = iter(adjusted([effect.p for effect in tests]))
    result = []
    for one in comparisons:
        effects = tuple(replace(effect, p_adjusted=next(corrected)) for effect in one.effects)
        result.append(replace(one, effects=effects))
    return tuple(result)


def _in_words(effect: Effect) -> str:
    words = ("lower", "higher")
    if effect.feature.startswith("category"):
        words = ("less frequent", "more frequent")
    low, high = effect.ci95
    return (
        f"{effect.feature} {words[effect.delta > 0]} "
        f"(mean {effect.mean_first:.2f} against {effect.mean_second:.2f}, delta "
        f"{effect.delta:+.2f} [{low:+.2f}, {high:+.2f}], {effect.size})"
    )

"""Ablations: one choice of the method varied at a time, everything else as by default."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.classifier.calibration import sigmoid
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.classifier.metrics import classifier_metrics
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.evaluation.replayable import complete_queries
from langchain_selectllm.exceptions import OutcomeError, PolicyError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.one_round_policies import MaxConf
from langchain_selectllm.selection.policies import Policy
from langchain_selectllm.selection.policy_names import parse_policy

_SIZE = 3
"""Members called by the systems that every study compares; the size at which reports are read."""
_POOL_STEPS = 6
"""Pool sizes tried per order at most: each of them is a fit."""
_AMOUNTS = (50, 100, 200, 400, 800, 1600, 3200, 6400)
"""Numbers of training queries, doubled each time, up to all of them."""
_VOTES = ("majority", "weighted", "log_odds", "learned")


@dataclass(frozen=True, kw_only=True)
class AblationPoint:
    """One system under one variant of one study."""

    study: str
    variant: str
    """The varied choice, in words or as a number."""
    series: str
    """Points of a series form one line of a chart."""
    system: str
    accuracy: float
    ci95: tuple[float, float]
    """95 % bootstrap over the test queries of this split."""
    calls: float
    brier: float
    """Mean squared error of P(correct)."""
    ece: float
    """Expected calibration error of P(correct), mean over members."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**vars(self), "ci95": list(self.ci95)}


@dataclass(frozen=True, eq=False)
class Ablation:
    """The studies on one split of recorded outcomes."""

    train: OutcomeTable
    test: OutcomeTable
    """Fully observed queries, none of them in `train`."""
    encoders: Sequence[str] = ("lexical",)
    seed: int = 0

    @cached_property
    def default(self) -> SelectLLMClassifier:
        """The classifier that no study varies."""
        return self._fit(self.train)

    def set_size(self) -> Iterator[AblationPoint]:
        """Systems by the number of members they call."""
        recording = Recording.of(self.test, self.default)
        families = ("selectllm", "weighted_max_conf", "fixed_best", "random")
        for size in range(1, len(self.train.members) + 1):
            systems = {family: f"{family}:{size}" for family in families}
            yield from self._points("set_size", str(size), recording, systems)

    def pool_size(self) -> Iterator[AblationPoint]:
        """A router per pool size, with members added best first, worst first and at random."""
        rates = np.nanmean(self.train.scores, axis=0)
        best_first = [self.train.members[k] for k in np.argsort(-rates, kind="stable").tolist()]
        shuffled = np.random.default_rng(self.seed).permutation(best_first).tolist()
        orders = {"best first": best_first, "worst first": best_first[::-1], "random order": shuffled}
        sizes = np.linspace(2, len(best_first), min(_POOL_STEPS, len(best_first) - 1)).astype(int)
        for order, names in orders.items():
            for size in sizes.tolist():
                members = names[:size]
                recording = self._record(self._fit(self.train.subset(members)), self.test.subset(members))
                wanted = f"selectllm:{min(_SIZE, size)}"
                systems = {
                    order: wanted,
                    f"{order}, single best": "single_best",
                    f"{order}, oracle": "oracle",
                }
                yield from self._points("pool_size", str(size), recording, systems)

    def training(self) -> Iterator[AblationPoint]:
        """A router per number of training queries; smaller samples are parts of larger ones."""
        order = np.random.default_rng(self.seed).permutation(len(self.train))
        amounts = [amount for amount in _AMOUNTS if amount < len(self.train)]
        for amount in (*amounts, len(self.train)):
            recording = self._record(self._fit(self.train.take(order[:amount])), self.test)
            yield from self._points("training", str(amount), recording, self._systems())

    def encoder(self) -> Iterator[AblationPoint]:
        """A router per encoder, beside one that ignores the query."""
        for name in self.encoders:
            classifier = self.default
            if name != "lexical":
                classifier = self._fit(self.train, encoder=name)
            yield from self._points("encoder", name, self._record(classifier, self.test), self._systems())
        recording = self._record(self.default, self.test)
        rates = np.tile(recording.pool.base_rates, (len(self.test), 1))
        systems = {"same members always": f"prior_only:{_SIZE}"}
        yield from self._points("encoder", "none", replace(recording, probabilities=rates), systems)

    def calibration(self) -> Iterator[AblationPoint]:
        """Probabilities with the stacked calibration, and those of the heads alone."""
        learned = self.default.learned
        recording = self._record(self.default, self.test)
        raw = sigmoid(learned.heads.logits(learned.encoder.encode(self.test.texts)))
        systems = {name: name for name in (f"weighted_max_conf:{_SIZE}", f"max_conf:{_SIZE}")}
        yield from self._points("calibration", "stacked", recording, systems)
        yield from self._points("calibration", "none", replace(recording, probabilities=raw), systems)

    def vote(self) -> Iterator[AblationPoint]:
        """The same most probable members under each vote."""
        recording = self._record(self.default, self.test)
        for vote in _VOTES:
            policy = MaxConf(min(_SIZE, len(self.train.members)), vote=vote)
            yield self._point("vote", vote, "same members", f"{_SIZE} most probable", recording, policy)

    def _fit(self, table: OutcomeTable, *, encoder: str = "lexical") -> SelectLLMClassifier:
        return SelectLLMClassifier(encoder=encoder, seed=self.seed).fit(table, allow_unreadable=True)

    def _record(self, classifier: SelectLLMClassifier, test: OutcomeTable) -> Recording:
        return Recording.of(test, classifier)

    def _systems(self) -> dict[str, str]:
        """Systems that studies of training compare, by series."""
        size = min(_SIZE, len(self.train.members))
        return {
            "selectllm": f"selectllm:{size}",
            "paper's policy": f"weighted_max_conf:{size}",
            "fixed best": f"fixed_best:{size}",
            "single best": "single_best",
        }

    def _points(
        self, study: str, variant: str, recording: Recording, systems: Mapping[str, str]
    ) -> Iterator[AblationPoint]:
        """Points of the systems that this recording can replay."""
        for series, system in systems.items():
            if system == "oracle":
                yield self._point(study, variant, series, system, recording, None)
                continue
            try:
                yield self._point(study, variant, series, system, recording, parse_policy(system))
            except PolicyError:
                # Too few training queries leave no operating point, or no fixed set, of some sizes.
                continue

    def _point(
        self,
        study: str,
        variant: str,
        series: str,
        system: str,
        recording: Recording,
        policy: Policy | None,
    ) -> AblationPoint:
        replay = recording.replay_oracle(system)
        if policy is not None:
            replay = recording.replay_policy(system, policy)
        metrics = classifier_metrics(
            recording.probabilities, recording.outcomes.labels, recording.pool.base_rates
        )
        return AblationPoint(
            study=study,
            variant=variant,
            series=series,
            system=system,
            accuracy=float(replay.score.mean()),
            ci95=Bootstrap(len(replay.score), seed=self.seed).interval(replay.score),
            calls=float(replay.calls.mean()),
            brier=metrics["brier"],
            ece=metrics["ece"],
        )


STUDIES: dict[str, Callable[[Ablation], Iterator[AblationPoint]]] = {
    "set_size": Ablation.set_size,
    "pool_size": Ablation.pool_size,
    "training": Ablation.training,
    "encoder": Ablation.encoder,
    "calibration": Ablation.calibration,
    "vote": Ablation.vote,
}
"""Studies by name."""


def ablate(
    outcomes: OutcomeTable,
    *,
    studies: Sequence[str] | None = None,
    encoders: Sequence[str] = ("lexical",),
    test: float = 0.3,
    seed: int = 0,
    progress: StageProgress = silent,
) -> list[AblationPoint]:
    """The points of all studies on one split of recorded outcomes.

    Args:
        outcomes: Recorded outcomes with replies, of at least two members; queries that are not fully
            observed are not tested on.
        studies: Names of `STUDIES`; all of them when None.
        encoders: Encoders that the study of encoders compares.
        test: Share of the queries that is measured on and never trained on.
        seed: Seed of the split, the fits, the random order and the bootstrap.
        progress: Called before each study and after the last one.

    Raises:
        OutcomeError: If a study is unknown, or there is nothing to vote on or to choose from.
    """
    wanted = list(STUDIES) if studies is None else list(studies)
    unknown = [name for name in wanted if name not in STUDIES]
    if unknown:
        raise OutcomeError(f"{unknown[0]!r} is no study. Use some of {', '.join(STUDIES)}.")
    if len(outcomes.members) < 2 or not outcomes.has_replies:
        raise OutcomeError("Ablations need replies of at least two members to choose from and to vote on.")
    train, held_out = outcomes.split(test, seed=seed)
    ablation = Ablation(train, complete_queries(held_out), encoders=encoders, seed=seed)
    points: list[AblationPoint] = []
    for i, name in enumerate(wanted):
        progress("ablate", i / len(wanted))
        points += STUDIES[name](ablation)
    progress("ablate", 1.0)
    return points

"""Served queries against training: figures, and in words whether a new router is due."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import StoreError
from langchain_selectllm.integrations.server.served_store import StoredDecision

_UNFAMILIAR = 0.5
"""Novelty at which base rates and the text have the same weight in a prediction."""
_UNFAMILIAR_SHARE = 0.2
_FAILURE_RATE = 0.1
"""Shares from which the words name a problem; an operator's convention, not a statistical threshold."""
_Z = 1.96
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class MemberDrift:
    """One member in serving."""

    called: float
    """Share of the requests that called it."""
    failed: float
    """Share of its calls that failed."""
    predicted: float
    """Mean predicted P(correct) of the served queries."""
    base_rate: float
    """Share of the training queries that it answered correctly."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of n cases with its 95 % interval (Wilson)."""

    n: int
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Rate | None":
        """The rate of values in [0, 1]; None without any."""
        n = len(values)
        if not n:
            return None
        mean = sum(values) / n
        centre = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * math.sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
        return cls(n=n, mean=mean, low=max(0.0, centre - half), high=min(1.0, centre + half))


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What the decisions of one artefact show."""

    n_requests: int
    n_other_artefacts: int
    """Requests in the store that another artefact decided; left out."""
    first_served: float
    last_served: float
    novelty: float
    """Mean unfamiliarity of the served texts, in [0, 1]."""
    unfamiliar: float
    """Share of the served texts whose predictions rest on base rates more than on the text."""
    confidence: float | None
    """Mean calibrated confidence; None where none was given."""
    confidence_familiar: float | None
    confidence_unfamiliar: float | None
    members: Mapping[str, MemberDrift]
    feedback: Rate | None
    """Accuracy by users' scores; None without any."""
    feedback_confidence: float | None
    """Mean confidence of the same answers."""
    agreement: Rate | None
    """Share of the shadowed answers that the vote of all members gave too."""
    n_outcomes: int
    """Requests whose prompts and replies were kept."""
    reasons: tuple[str, ...] = field(default=())

    @property
    def due(self) -> bool:
        """Whether a new router is due."""
        return bool(self.reasons)

    @property
    def gains(self) -> dict[str, float]:
        """Upper estimates of the gain in accuracy, by what would have to come true."""
        found = {}
        if self.confidence_familiar is not None and self.confidence_unfamiliar is not None:
            gain = self.unfamiliar * (self.confidence_familiar - self.confidence_unfamiliar)
            found["unfamiliar queries become as familiar as the others"] = max(0.0, gain)
        if self.shortfall is not None:
            found["answers become right as often as the router expects"] = self.shortfall
        return found

    @property
    def gain(self) -> float | None:
        """The largest of the upper estimates; None without any."""
        return max(self.gains.values(), default=None)

    @property
    def shortfall(self) -> float | None:
        """Expected accuracy of the scored answers less that by feedback; None unless it is shown (95 %)."""
        if self.feedback is None or self.feedback_confidence is None:
            return None
        if self.feedback.high >= self.feedback_confidence:
            return None
        return self.feedback_confidence - self.feedback.mean

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON."""
        shown = dict(vars(self))
        shown["members"] = {name: vars(member) for name, member in self.members.items()}
        for name in ("feedback", "agreement"):
            rate = getattr(self, name)
            shown[name] = None if rate is None else vars(rate)
        return {**shown, "reasons": list(self.reasons), "due": self.due, "gain": self.gain}


def measure_drift(decisions: Iterable[StoredDecision], classifier: SelectLLMClassifier) -> Drift:
    """The drift of the queries that an artefact has served.

    Raises:
        StoreError: If it has served none.
    """
    everything = list(decisions)
    own = [row for row in everything if row.artefact == classifier.learned.digest]
    served = [row for row in own if row.shadow_of is None]
    if not served:
        raise StoreError(
            f"The store holds {len(everything)} decisions, none of them by this router. Serve it with "
            "--store first."
        )
    novelty = np.array([row.novelty or 0.0 for row in served])
    scored = [row for row in served if row.score is not None]
    unfamiliar = novelty > _UNFAMILIAR
    drift = Drift(
        n_requests=len(served),
        n_other_artefacts=len(everything) - len(own),
        first_served=served[0].served_at,
        last_served=served[-1].served_at,
        novelty=float(novelty.mean()),
        unfamiliar=float(unfamiliar.mean()),
        confidence=_confidence(served),
        confidence_familiar=_confidence(_where(served, ~unfamiliar)),
        confidence_unfamiliar=_confidence(_where(served, unfamiliar)),
        members=_members(served, classifier),
        feedback=Rate.of([row.score or 0.0 for row in scored]),
        feedback_confidence=_confidence(scored),
        agreement=Rate.of([float(row.agrees) for row in own if row.agrees is not None]),
        n_outcomes=sum(row.query_id is not None for row in served),
    )
    return Drift(**{**vars(drift), "reasons": tuple(_reasons(drift))})


def describe(drift: Drift) -> list[str]:
    """The drift in sentences, the advice last."""
    novelty = f"mean novelty {drift.novelty:.2f}, {drift.unfamiliar:.0%} of the texts are mostly unfamiliar"
    lines = [f"{drift.n_requests:,} requests; {novelty} to the router."]
    if drift.confidence is not None:
        lines.append(f"Mean confidence {drift.confidence:.2f}.")
    lines += _described_accuracy(drift)
    for name, member in drift.members.items():
        lines.append(
            f"{name}: called for {member.called:.0%} of the requests, {member.failed:.0%} of its calls "
            f"failed; predicted {member.predicted:.0%} correct (training: {member.base_rate:.0%})."
        )
    return [*lines, *_advice(drift)]


def _described_accuracy(drift: Drift) -> list[str]:
    lines = []
    if drift.feedback is not None:
        rate = drift.feedback
        lines.append(
            f"Accuracy by feedback {rate.mean:.2f} (95 % interval {rate.low:.2f} to {rate.high:.2f}, "
            f"{rate.n} answers)."
        )
    if drift.agreement is not None:
        rate = drift.agreement
        lines.append(
            f"All members together gave the served answer in {rate.mean:.0%} of {rate.n} shadowed requests."
        )
    return lines


def _advice(drift: Drift) -> list[str]:
    lines = [f"{name} fails often; look at the member, not at the router." for name in _failing(drift)]
    if not drift.due:
        return [*lines, "Retraining is not due: the served queries look like those of training."]
    lines.append(f"Retraining is due: {'; '.join(drift.reasons)}.")
    for condition, gain in drift.gains.items():
        if gain == drift.gain:
            lines.append(f"Expected gain: at most {100 * gain:.1f} points of accuracy, if {condition}.")
    if not drift.n_outcomes:
        lines.append(
            "No prompts were kept, so that there is nothing to train on yet: serve with --keep-prompts."
        )
    return lines


def _reasons(drift: Drift) -> list[str]:
    reasons = []
    if drift.unfamiliar > _UNFAMILIAR_SHARE:
        reasons.append(f"{drift.unfamiliar:.0%} of the texts are mostly unfamiliar")
    rate, shortfall = drift.feedback, drift.shortfall
    if rate is not None and shortfall is not None:
        expected = rate.mean + shortfall
        reasons.append(f"users find {rate.mean:.0%} of the answers right, {expected:.0%} were expected")
    return reasons


def _failing(drift: Drift) -> list[str]:
    return [name for name, member in drift.members.items() if member.failed > _FAILURE_RATE]


def _members(served: Sequence[StoredDecision], classifier: SelectLLMClassifier) -> dict[str, MemberDrift]:
    found = {}
    for k, name in enumerate(classifier.members):
        replied = sum(name in row.decision["answers"] for row in served)
        failed = sum(name in row.decision["failures"] for row in served)
        given_up = sum(name in row.decision["cancelled"] for row in served)
        calls = replied + failed + given_up
        predicted = [row.decision["probabilities"][name] for row in served]
        found[name] = MemberDrift(
            called=calls / len(served),
            failed=failed / max(calls, 1),
            predicted=float(np.mean(predicted)),
            base_rate=float(classifier.pool.base_rates[k]),
        )
    return found


def _where(rows: Sequence[StoredDecision], mask: Any) -> list[StoredDecision]:
    return [rows[i] for i in np.flatnonzero(mask).tolist()]


def _confidence(rows: Sequence[StoredDecision]) -> float | None:
    given = [row.decision["confidence"] for row in rows if row.decision["confidence"] is not None]
    if not given:
        return None
    return float(np.mean(given))

"""Decisions: the members to call for a prompt and the reason, made without any call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import MemberMismatchError
from langchain_selectllm.selection.policies import Policy, Selection
from langchain_selectllm.voting.votes import VoteStrategy

if TYPE_CHECKING:
    from langchain_selectllm.selection.operating_points import FurtherRounds


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptSelection:
    """First-round members and follow-up rounds, remembered for a conversation."""

    selected: tuple[int, ...]
    further: "FurtherRounds | None"


# Not frozen, though never changed: freezing takes most of the time to make one, and a batch makes thousands.
@dataclass(eq=False)
class Decision:
    """Members selected for one prompt."""

    text: str
    """Text of the prompt that was routed on."""
    members: tuple[str, ...]
    """Every member of the pool, in the order of the arrays."""
    probabilities: NDArray[np.float64]
    """Calibrated P(correct) of each member, (K,)."""
    vote_probabilities: NDArray[np.float64]
    """Weights of the vote, (K,): base rates where the policy ignores the query."""
    selected: tuple[int, ...]
    """Indices of the selected members, ascending; one per call, so that a member may occur several times."""
    reason: str
    vote: VoteStrategy
    """The policy's vote, which the parser's replaces where it has one."""
    further: "FurtherRounds | None" = None
    """Follow-up rounds of this prompt."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Members that are not called for this prompt, with the reason."""
    held_back: tuple[str, ...] = ()
    """Selected members that are not called because of a bound on calls."""

    @property
    def reserve(self) -> tuple[int, ...]:
        """The other members, the most probable first; called when failures leave too few replies."""
        others = set(range(len(self.members))).difference(self.selected)
        return tuple(k for k in self._ranked(others) if self.members[k] not in self.left_out)

    def _ranked(self, members: Iterable[int]) -> list[int]:
        """Members by descending probability; equal ones in pool order."""
        return sorted(members, key=lambda k: (-self.vote_probabilities[k], k))

    @property
    def kept_selection(self) -> KeptSelection:
        """The part of the decision that later turns of the conversation keep."""
        return KeptSelection(selected=self.selected, further=self.further)

    def again(self, kept: KeptSelection) -> Self:
        """The same decision with the members of an earlier turn of the conversation."""
        reason = "as at an earlier turn of this thread"
        return replace(self, selected=kept.selected, further=kept.further, reason=reason)

    def at_most(self, calls: int | None) -> Self:
        """The same decision with the `calls` most probable of its members; with all of them when None."""
        if calls is None or len(self.selected) <= calls:
            return self
        ranked = self._ranked(self.selected)
        held_back = tuple(self.members[k] for k in sorted(ranked[calls:]))
        return replace(self, selected=tuple(sorted(ranked[:calls])), held_back=held_back)

    def without(self, left_out: Mapping[str, str]) -> Self:
        """The same decision among the other members; the most probable of them fill the free places."""
        if not left_out:
            return self
        decision = replace(self, left_out={**self.left_out, **left_out})
        kept = [k for k in self.selected if self.members[k] not in left_out]
        filled = [*kept, *decision.reserve[: len(self.selected) - len(kept)]]
        further = self.further
        if further is not None:
            further = further.without(np.isin(self.members, list(left_out)))
        return replace(decision, selected=tuple(sorted(filled)), further=further)

    @property
    def repeats(self) -> bool:
        """Whether some member may be called several times."""
        repeats = self.further is not None and self.further.repeats
        return repeats or len(set(self.selected)) < len(self.selected)

    def once(self, unrepeated: Mapping[str, str]) -> Self:
        """The same decision with one call per named member, as its further replies would be the same.

        Args:
            unrepeated: Members, with the reason.
        """
        selected: list[int] = []
        reasons: dict[str, str] = {}
        for k in self.selected:
            name = self.members[k]
            if name in unrepeated and k in selected:
                reasons[name] = f"{name} once, because {unrepeated[name]}"
            else:
                selected.append(k)
        further = self.further
        if further is not None:
            again = [name in unrepeated and k in selected for k, name in enumerate(self.members)]
            further = further.without(np.array(again))
        reason = "; ".join([self.reason, *reasons.values()])
        return replace(self, selected=tuple(selected), further=further, reason=reason)

    def only(self, name: str) -> Self:
        """The same decision with one member called and no other in reserve, because it was asked for by name.

        Raises:
            MemberMismatchError: If there is no such member, or it is left out.
        """
        able = [member for member in self.members if member not in self.left_out]
        if name not in able:
            why = self.left_out.get(name, "is not a member")
            raise MemberMismatchError(f"{name!r} {why}. Members to choose from: {', '.join(able)}.")
        left_out = dict.fromkeys(able, "another was asked for")
        del left_out[name]
        return replace(
            self,
            selected=(self.members.index(name),),
            further=None,
            reason="asked for by name",
            left_out={**self.left_out, **left_out},
        )

    @property
    def selected_members(self) -> tuple[str, ...]:
        """Names of the selected members, one per call."""
        return tuple(self.members[k] for k in self.selected)


def decide_all(
    classifier: SelectLLMClassifier,
    policy: Policy,
    texts: Sequence[str],
    probabilities: NDArray[np.float64] | None = None,
) -> list[Decision]:
    """Decides for several texts, which are encoded at once.

    Args:
        classifier: Predicts the probabilities.
        policy: Selects members by them.
        texts: Texts of the prompts.
        probabilities: What the classifier predicts for the texts, (n, K), where it is known already.

    Raises:
        PolicyError: If the policy cannot be applied to the classifier's pool.
    """
    if probabilities is None:
        probabilities = classifier.predict_proba(texts)
    selection = policy.select(probabilities, classifier.pool)
    members, chosen = classifier.members, _selected(selection)
    decisions = []
    rows = zip(texts, probabilities, selection.probabilities, chosen, selection.reasons, strict=True)
    for i, (text, row, vote_row, selected, why) in enumerate(rows):
        reason, further = why, None
        if not text.strip():
            reason = f"{reason}; no text, so by base rates"
        if selection.further is not None:
            further = selection.further.of(i)
        decision = Decision(
            text=text,
            members=members,
            probabilities=row,
            vote_probabilities=vote_row,
            selected=selected,
            reason=reason,
            vote=selection.vote,
            further=further,
        )
        decisions.append(decision)
    return decisions


def _selected(selection: Selection) -> list[tuple[int, ...]]:
    """Pool index of each call's member for each query, ascending."""
    rows, members = np.nonzero(selection.mask)
    if selection.samples is not None:
        calls = selection.samples[rows, members]
        rows, members = np.repeat(rows, calls), np.repeat(members, calls)
    ends = np.searchsorted(rows, np.arange(len(selection.mask)), side="right").tolist()
    ordered = members.tolist()
    return [tuple(ordered[start:end]) for start, end in pairwise([0, *ends])]

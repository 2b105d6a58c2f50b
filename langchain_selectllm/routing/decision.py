"""Prompt in, decision out: which members to call and why, without calling anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import MemberMismatchError
from langchain_selectllm.selection.further_rounds import FurtherRounds
from langchain_selectllm.selection.policies import Policy
from langchain_selectllm.voting.votes import VoteStrategy

Chosen = tuple[tuple[int, ...], FurtherRounds | None]
"""Who is called first, and what further rounds may call: what a thread keeps of a decision."""


@dataclass(frozen=True, eq=False)
class Decision:
    """The members chosen for one prompt."""

    text: str
    """What was routed on."""
    members: tuple[str, ...]
    """Every member of the pool, in the order of the arrays."""
    probabilities: NDArray[np.float64]
    """Calibrated P(correct) of each member, (K,)."""
    vote_probabilities: NDArray[np.float64]
    """What the vote weighs with, (K,): base rates where the policy ignores the query."""
    selected: tuple[int, ...]
    """Indices of the chosen members, ascending."""
    reason: str
    vote: VoteStrategy
    """How ballots are scored when the user asks for no other vote."""
    further: FurtherRounds | None = None
    """What further rounds may call; of one query."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Members that are not to be called for this prompt, with the reason."""
    held_back: tuple[str, ...] = ()
    """Members that were chosen, and are not called because of a bound on calls."""

    @property
    def reserve(self) -> tuple[int, ...]:
        """The other members, the most probable first: who is called when too few replies are left."""
        rest = [
            k for k, name in enumerate(self.members) if k not in self.selected and name not in self.left_out
        ]
        return tuple(sorted(rest, key=lambda k: (-self.vote_probabilities[k], k)))

    @property
    def chosen(self) -> Chosen:
        """What another turn of the conversation needs to call the same members."""
        return self.selected, self.further

    def again(self, chosen: Chosen) -> Self:
        """The same decision with members of an earlier turn of the conversation."""
        selected, further = chosen
        return replace(
            self, selected=selected, further=further, reason="as at an earlier turn of this thread"
        )

    def at_most(self, calls: int | None) -> Self:
        """The same decision with the `calls` most probable of the chosen members; with all of them when None."""
        if calls is None or len(self.selected) <= calls:
            return self
        ranked = sorted(self.selected, key=lambda k: (-self.vote_probabilities[k], k))
        held_back = tuple(self.members[k] for k in sorted(ranked[calls:]))
        return replace(self, selected=tuple(sorted(ranked[:calls])), held_back=held_back)

    def without(self, left_out: Mapping[str, str]) -> Self:
        """The same decision among the other members; the most probable of them take the free places."""
        if not left_out:
            return self
        decision = replace(self, left_out={**self.left_out, **left_out})
        kept = [k for k in self.selected if self.members[k] not in left_out]
        filled = [*kept, *decision.reserve[: len(self.selected) - len(kept)]]
        out = np.array([name in left_out for name in self.members])
        further = None if self.further is None else self.further.without(out)
        return replace(decision, selected=tuple(sorted(filled)), further=further)

    def only(self, name: str) -> Self:
        """The same decision with one member called and no other in reserve, because it was asked for.

        Raises:
            MemberMismatchError: If there is no such member, or it is left out.
        """
        able = [member for member in self.members if member not in self.left_out]
        if name not in able:
            why = self.left_out.get(name, "is not a member")
            raise MemberMismatchError(f"{name!r} {why}. Members to choose from: {', '.join(able)}.")
        others = {member: "another was asked for" for member in able if member != name}
        chosen = (self.members.index(name),)
        return replace(
            self,
            selected=chosen,
            further=None,
            reason="asked for by name",
            left_out={**self.left_out, **others},
        )

    @property
    def selected_members(self) -> tuple[str, ...]:
        """Names of the chosen members."""
        return tuple(self.members[k] for k in self.selected)


def decide_all(classifier: SelectLLMClassifier, policy: Policy, texts: Sequence[str]) -> list[Decision]:
    """The decisions for several texts, encoded at once.

    Raises:
        PolicyError: If the policy cannot be applied to the classifier's pool.
    """
    probabilities = classifier.predict_proba(texts)
    selection = policy.select(probabilities, classifier.pool)
    return [
        Decision(
            text=text,
            members=classifier.members,
            probabilities=probabilities[i],
            vote_probabilities=selection.probabilities[i],
            selected=tuple(np.flatnonzero(selection.mask[i]).tolist()),
            reason=selection.reasons[i]
            if text.strip()
            else f"{selection.reasons[i]}; no text, so by base rates",
            vote=selection.vote,
            further=None if selection.further is None else selection.further.of(i),
        )
        for i, text in enumerate(texts)
    ]

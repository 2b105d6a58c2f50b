"""Votes over objects, field by field: each field takes the value that wins its own vote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.json_value import canonical_json
from langchain_selectllm.voting.ballots import make_ballots
from langchain_selectllm.voting.call_numbers import in_pool_order, members_of
from langchain_selectllm.voting.tally import DecidedBy, tally
from langchain_selectllm.voting.votes import RunningScores, VoteStrategy

_ABSENT: Any = object()


@dataclass(eq=False, kw_only=True)
class FieldVote:
    """Vote over the objects of some members; nested objects are voted on field by field, lists as a whole.

    A field that an object lacks is a ballot for leaving it out.
    """

    vote: VoteStrategy
    members: Sequence[str]
    """Names of the pool's K members."""
    probabilities: NDArray[np.float64]
    """P(correct) of each member, (K,)."""
    latencies: NDArray[np.float64]
    """Recorded `latency_s` of each member, (K,); NaN when unknown."""
    outstanding: Sequence[int] = ()
    """Pool index of each outstanding call's member."""
    supports: dict[str, float] = field(default_factory=dict)
    """Share of the ballots that went to each field's value, by dotted path."""
    tied: bool = False
    """Whether the tie rule decided some field."""
    settled: bool = True
    """Whether no outstanding member can change any field."""

    def elect(self, objects: Mapping[int, Any], path: str = "") -> Any:
        """Value that wins at `path`; an object is put together from the fields that win.

        Args:
            objects: Value of each call, by its number.
            path: Dotted path of the values in the whole object.
        """
        calls = in_pool_order(objects, len(self.members))
        slots = members_of(calls, len(self.members))
        kinds = [_kind(objects[call]) for call in calls]
        ballots = make_ballots(
            slots=slots, answers=kinds, probabilities=self.probabilities, latencies=self.latencies
        )
        counted = tally(self.vote, ballots, members=self.members)
        self._check_settled(slots, kinds)
        agreeing = {k: objects[k] for k, kind in zip(calls, kinds, strict=True) if kind == counted.answer}
        if counted.answer == "object":
            return self._elect_fields(agreeing, path)
        self.supports[path] = counted.support
        self.tied |= counted.decided_by == DecidedBy.TIE_RULE
        return next(iter(agreeing.values()))

    def _elect_fields(self, objects: Mapping[int, Mapping[str, Any]], path: str) -> dict[str, Any]:
        names: dict[str, None] = {}
        for value in objects.values():
            names.update(dict.fromkeys(value))
        # An outstanding member may bring a field that no object has yet.
        self._check_settled(members_of(objects, len(self.members)), ["absent"] * len(objects))
        elected: dict[str, Any] = {}
        for name in names:
            values = {k: value.get(name, _ABSENT) for k, value in objects.items()}
            winner = self.elect(values, f"{path}.{name}".lstrip("."))
            if winner is not _ABSENT:
                elected[name] = winner
        return elected

    def _check_settled(self, slots: Sequence[int], kinds: Sequence[str]) -> None:
        if not self.settled or not self.outstanding:
            return
        scores = RunningScores(self.vote, self.probabilities)
        for slot, kind in zip(slots, kinds, strict=True):
            scores.add(slot, kind)
        self.settled = scores.is_settled(self.outstanding)


def _kind(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, Mapping):
        return "object"
    return canonical_json(value)

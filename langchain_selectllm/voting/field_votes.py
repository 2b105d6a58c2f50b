"""Objects voted on field by field: each field goes to the value that most members gave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.json_value import canonical_json
from langchain_selectllm.voting.ballots import cast
from langchain_selectllm.voting.tally import tally
from langchain_selectllm.voting.votes import VoteStrategy, is_decided

_ABSENT: Any = object()


@dataclass(eq=False)
class FieldVote:
    """The vote over the objects of some members; nested objects are voted on field by field too, lists as a whole.

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
    """Pool indices of members yet to reply."""
    supports: dict[str, float] = field(default_factory=dict)
    """Share of the ballots that went to each field's value, by dotted path."""
    tied: bool = False
    """Whether the tie rule decided some field."""
    decided: bool = True
    """Whether no outstanding member can change any field."""

    def elect(self, objects: Mapping[int, Any], path: str = "") -> Any:
        """The value that wins at `path`, put together from its fields where it is an object.

        Args:
            objects: Each member's value, by pool index.
            path: Where the values stand in the whole object.
        """
        slots = sorted(objects)
        kinds = [_kind(objects[k]) for k in slots]
        ballots = cast(slots=slots, answers=kinds, probabilities=self.probabilities, latencies=self.latencies)
        counted = tally(self.vote, ballots, members=self.members)
        self._note(slots, kinds)
        agreeing = {k: objects[k] for k, kind in zip(slots, kinds, strict=True) if kind == counted.answer}
        if counted.answer == "object":
            return self._fields(agreeing, path)
        self.supports[path] = counted.support
        self.tied |= counted.decided_by == "tie rule"
        return next(iter(agreeing.values()))

    def _fields(self, objects: Mapping[int, Mapping[str, Any]], path: str) -> dict[str, Any]:
        names = dict.fromkeys(name for value in objects.values() for name in value)
        # An outstanding member may bring a field that nobody gave yet.
        self._note(sorted(objects), ["absent"] * len(objects))
        elected = {
            name: self.elect(
                {k: value.get(name, _ABSENT) for k, value in objects.items()}, f"{path}.{name}".lstrip(".")
            )
            for name in names
        }
        return {name: value for name, value in elected.items() if value is not _ABSENT}

    def _note(self, slots: Sequence[int], kinds: Sequence[str]) -> None:
        if not self.decided or not self.outstanding:
            return
        ballots = cast(slots=slots, answers=kinds, probabilities=self.probabilities, latencies=self.latencies)
        self.decided = is_decided(self.vote, ballots, self.outstanding)


def _kind(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    return "object" if isinstance(value, Mapping) else canonical_json(value)

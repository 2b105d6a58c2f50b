"""Token log-probabilities of the replies to one prompt, for the learned vote."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.learned_vote import LearnedVote
from langchain_selectllm.voting.token_signals import TokenSignals

if TYPE_CHECKING:
    from langchain_selectllm.answers.token_probabilities import TokenProbabilities

WITHOUT_TOKENS = "learned, without token probabilities"
"""Name of the vote where members sent token probabilities in training, and none did for this prompt."""


class ReplyTokens:
    """Figures of each reply that a learned vote counts."""

    def __init__(self, vote: LearnedVote) -> None:
        """Start without replies."""
        self._vote = vote
        self._figures: dict[int, TokenProbabilities | None] = {}
        self._answers: dict[int, str | None] = {}

    def add(self, call: int, reply: BaseMessage | str, answer: str | None) -> None:
        """Read the figures of a call's reply about its answer."""
        self._answers[call] = answer
        if self._vote.tokens is not None and isinstance(reply, BaseMessage):
            from langchain_selectllm.answers.token_probabilities import read_token_probabilities

            self._figures[call] = read_token_probabilities(reply.response_metadata, answer)

    def signals(self, calls: Sequence[int], candidates: Sequence[str]) -> TokenSignals | None:
        """The figures of calls in pool order as arrays, for `make_ballots`; None where the vote uses none."""
        if self._vote.tokens is None:
            return None
        signals = TokenSignals.empty(n=1, n_slots=len(calls), n_candidates=max(len(candidates), 1))
        for slot, call in enumerate(calls):
            figures = self._figures.get(call)
            if figures is not None:
                signals.fill(0, slot, figures, self._answers[call], candidates)
        return signals

    def metadata(self, ballots: Ballots, members: Sequence[str], strategy: str) -> Mapping[str, Any]:
        """Name of the vote, members whose token probabilities counted, and those that sent none.

        The latter are those that sent some in training. Empty for a vote without token probabilities.

        Args:
            ballots: The ballots of the prompt.
            members: Names of the pool's members.
            strategy: Name of the vote that was counted.
        """
        if self._vote.tokens is None:
            return {}
        counted = self._vote.uses_tokens(ballots)[0]
        expected = self._vote.tokens.members[ballots.members] & (ballots.codes[0] >= 0)
        used: list[str] = []
        missing: list[str] = []
        for member, counts, due in zip(ballots.members.tolist(), counted, expected, strict=True):
            if counts and members[member] not in used:
                used.append(members[member])
            elif due and not counts and members[member] not in missing:
                missing.append(members[member])
        if strategy == LearnedVote.name and missing and not used:
            strategy = WITHOUT_TOKENS
        return {"strategy": strategy, "token_probabilities": {"used": used, "missing": missing}}

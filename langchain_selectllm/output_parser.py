"""Candidate generations in, voted answer out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import patch_config, run_in_executor
from numpy.typing import NDArray
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from langchain_selectllm.answers import AnswerExtractor, ComparesAnswers, get_extractor, is_open_ended
from langchain_selectllm.judge import Case, open_case
from langchain_selectllm.tally import Tally, tally
from langchain_selectllm.voting import Ballots, VoteStrategy, cast, get_vote

Candidate = str | BaseMessage | Generation


class VotingOutputParser(BaseOutputParser[Tally]):
    """Reads an answer from every candidate generation and returns the tally of their vote; `str(tally)` is the answer.

    Works on the replies of a router's members, on n samples of one model, and behind a `RunnableParallel` of models. On
    its own it knows no probabilities, so that every candidate weighs the same.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    answer: str | Callable[[str], str | None] | AnswerExtractor = "text"
    """How an answer is read: "choice", "number", "text", "code", a callable from reply to answer, or an extractor such as
    `SemanticAnswers`."""
    vote: str | VoteStrategy | None = None
    """How ballots are scored: "majority", "weighted", "log_odds" or a strategy such as `JudgeVote`, in a router "learned" too;
    a router's policy decides when None."""

    _extractor: AnswerExtractor = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        """Check the names at once.

        Raises:
            AnswerError: If the extractor is unknown.
            PolicyError: If the vote is unknown.
        """
        super().__init__(**kwargs)
        self._extractor = get_extractor(self.answer)
        if self.vote is not None and self.vote != "learned":
            get_vote(self.vote)

    def extract(self, reply: BaseMessage | str, query: str | None = None) -> str | None:
        """The canonical answer of one reply; None = abstain."""
        return self._extractor.extract(reply if isinstance(reply, str) else reply.text, query)

    def cast(
        self,
        *,
        slots: Sequence[int],
        answers: Sequence[str | None],
        probabilities: NDArray[np.float64],
        latencies: NDArray[np.float64] | None = None,
        lengths: Sequence[float] | None = None,
    ) -> Ballots:
        """The ballots of one query, answers that say the same counted together; see `voting.cast`."""
        comparer = self._extractor if isinstance(self._extractor, ComparesAnswers) else None
        return cast(
            slots=slots,
            answers=answers,
            probabilities=probabilities,
            latencies=latencies,
            lengths=lengths,
            agreement=None if comparer is None else comparer.agreement,
        )

    @property
    def open_ended(self) -> bool:
        """Whether answers are free text, of which it can well be that no two agree."""
        return is_open_ended(self._extractor)

    @property
    def is_slow(self) -> bool:
        """Whether counting takes a model's work, which does not belong on an event loop."""
        return isinstance(self._extractor, ComparesAnswers)

    def count(self, candidates: Mapping[str, Candidate] | Sequence[Candidate], query: str | None = None) -> Tally:
        """The tally of candidates that all weigh the same.

        Args:
            candidates: Texts, messages or generations; by member, or in a list of samples.
            query: The prompt's text, for extractors that read what it offers and for judges.
        """
        return self._judged(self._count(candidates, query), None)

    def _count(self, candidates: Mapping[str, Candidate] | Sequence[Candidate], query: str | None) -> "_Count":
        named = candidates if isinstance(candidates, Mapping) else {f"sample {i + 1}": c for i, c in enumerate(candidates)}
        texts = [_text(candidate) for candidate in named.values()]
        ballots = self.cast(
            slots=range(len(named)),
            answers=[self._extractor.extract(text, query) for text in texts],
            probabilities=np.full(len(named), 0.5),
        )
        vote = get_vote(self.vote or "majority")
        return _Count(tuple(named), ballots, vote, self.open_ended, open_case(vote, ballots, dict(enumerate(texts)), query))

    def _judged(self, counted: "_Count", config: RunnableConfig | None) -> Tally:
        if counted.case is not None:
            try:
                counted.case.settle(counted.case.judge.member.model.invoke(list(counted.case.prompt), config))
            except Exception as error:  # noqa: BLE001 - recorded in the tally
                counted.case.settle(error)
        return counted.tally()

    async def _ajudged(self, counted: "_Count", config: RunnableConfig | None) -> Tally:
        if counted.case is not None:
            try:
                counted.case.settle(await counted.case.judge.member.model.ainvoke(list(counted.case.prompt), config))
            except Exception as error:  # noqa: BLE001 - recorded in the tally
                counted.case.settle(error)
        return counted.tally()

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Tally:
        return self.count(result)

    @override
    def parse(self, text: str) -> Tally:
        return self.count([text])

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Tally:
        """The tally of one candidate, a list of candidates, or a dict of them by name."""
        return self._call_with_config(self._run, input, config, run_type="parser")

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Tally:
        """The tally of one candidate, a list of candidates, or a dict of them by name."""
        return await self._acall_with_config(self._arun, input, config, run_type="parser")

    def _run(self, candidates: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Tally:
        child = patch_config(config, callbacks=run_manager.get_child("selectllm:judge"))
        return self._judged(self._count(_several(candidates), None), child)

    async def _arun(self, candidates: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Tally:
        child = patch_config(config, callbacks=run_manager.get_child("selectllm:judge"))
        if self.is_slow:
            counted = await run_in_executor(config, self._count, _several(candidates), None)
        else:
            counted = self._count(_several(candidates), None)
        return await self._ajudged(counted, child)

    @property
    def _type(self) -> str:
        return "selectllm_vote"


@dataclass(frozen=True, eq=False)
class _Count:
    """Ballots on their way to a tally."""

    members: tuple[str, ...]
    ballots: Ballots
    vote: VoteStrategy
    open_ended: bool
    case: Case | None

    def tally(self) -> Tally:
        ruling = None if self.case is None else self.case.ruling
        counted = tally(self.vote, self.ballots, members=self.members, open_ended=self.open_ended, ruling=ruling)
        instead = None if self.case is None else self.case.decided_by
        return counted if instead is None else replace(counted, decided_by=instead)


def _several(candidates: Any) -> Mapping[str, Candidate] | Sequence[Candidate]:
    several: Mapping[str, Candidate] | Sequence[Candidate]
    several = [candidates] if isinstance(candidates, (str, BaseMessage, Generation)) else candidates
    return several


def _text(candidate: Candidate) -> str:
    if isinstance(candidate, ChatGeneration):
        return candidate.message.text
    if isinstance(candidate, BaseMessage):
        return candidate.text
    if isinstance(candidate, Generation):
        return candidate.text
    if isinstance(candidate, str):
        return candidate
    raise TypeError(
        f"A candidate is a {type(candidate).__name__}. Give texts, messages or generations, in a list or a dict by name."
    )

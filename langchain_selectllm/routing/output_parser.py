"""Candidate generations in, voted answer out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import patch_config, run_in_executor
from numpy.typing import NDArray
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from langchain_selectllm.answers import AnswerExtractor, ComparesAnswers, get_extractor, is_open_ended
from langchain_selectllm.answers.tool_calls import canonical_calls
from langchain_selectllm.routing.judge import Case, open_case
from langchain_selectllm.voting.ballots import Ballots, cast
from langchain_selectllm.voting.tally import Tally, tally
from langchain_selectllm.voting.votes import VoteStrategy, get_vote

Candidate = str | BaseMessage | Generation


class VotingOutputParser(BaseOutputParser[Tally]):
    """Reads an answer from every candidate generation and returns the tally of their vote; `str(tally)` is the answer.

    Works on the replies of a router's members, on n samples of one model, and behind a `RunnableParallel` of models. On
    its own it knows no probabilities, so that every candidate weighs the same.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    answer: str | Callable[[str], str | None] | AnswerExtractor = "text"
    """How an answer is read: "choice", "code", "json", "number", "text", a callable from reply to answer, or an extractor
    such as `SemanticAnswers`."""
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
        """The canonical answer of one reply; None = abstain.

        A reply that calls tools answers with its calls, names and arguments, never with its text; one whose calls cannot
        be read abstains.
        """
        if isinstance(reply, AIMessage) and self.calls_tools(reply):
            return canonical_calls([] if reply.invalid_tool_calls else reply.tool_calls)
        return self._extractor.extract(reply if isinstance(reply, str) else reply.text, query)

    @staticmethod
    def calls_tools(reply: BaseMessage | str) -> bool:
        """Whether the reply answers with tool calls."""
        return isinstance(reply, AIMessage) and bool(reply.tool_calls or reply.invalid_tool_calls)

    def shown(self, reply: BaseMessage | str, answer: str | None) -> str:
        """What a judge sees of a reply: all of its text; of one that calls tools the calls."""
        if self.calls_tools(reply):
            return answer or ""
        return reply if isinstance(reply, str) else str(reply.text)

    def cast(
        self,
        *,
        slots: Sequence[int],
        answers: Sequence[str | None],
        probabilities: NDArray[np.float64],
        latencies: NDArray[np.float64] | None = None,
        lengths: Sequence[float] | None = None,
        grounds: Callable[[Sequence[int], Sequence[str]], NDArray[np.float64]] | None = None,
        exact: Collection[str | None] = (),
    ) -> Ballots:
        """The ballots of one query, answers that say the same counted together; see `voting.cast`.

        Answers in `exact` agree with equal ones only: two calls that differ in one argument read alike and do not do the same.
        """
        comparer = self._extractor if isinstance(self._extractor, ComparesAnswers) else None

        def agreement(candidates: Sequence[str]) -> NDArray[np.float64]:
            agrees = np.eye(len(candidates))
            free = [i for i, candidate in enumerate(candidates) if candidate not in exact]
            if comparer is not None and len(free) > 1:
                agrees[np.ix_(free, free)] = comparer.agreement([candidates[i] for i in free])
            return agrees

        return cast(
            slots=slots,
            answers=answers,
            probabilities=probabilities,
            latencies=latencies,
            lengths=lengths,
            grounds=grounds,
            agreement=None if comparer is None else agreement,
        )

    @property
    def open_ended(self) -> bool:
        """Whether answers are free text, of which it can well be that no two agree."""
        return is_open_ended(self._extractor)

    @property
    def is_slow(self) -> bool:
        """Whether counting takes a model's work, which does not belong on an event loop."""
        return isinstance(self._extractor, ComparesAnswers)

    def count(
        self, candidates: Mapping[str, Candidate] | Sequence[Candidate], query: str | None = None
    ) -> Tally:
        """The tally of candidates that all weigh the same.

        Args:
            candidates: Texts, messages or generations; by member, or in a list of samples.
            query: The prompt's text, for extractors that read what it offers and for judges.
        """
        return self._judged(self._count(candidates, query), None)

    def _count(
        self, candidates: Mapping[str, Candidate] | Sequence[Candidate], query: str | None
    ) -> "_Count":
        named = (
            candidates
            if isinstance(candidates, Mapping)
            else {f"sample {i + 1}": c for i, c in enumerate(candidates)}
        )
        replies = [_reply(candidate) for candidate in named.values()]
        answers = [self.extract(reply, query) for reply in replies]
        calls = {answer for reply, answer in zip(replies, answers, strict=True) if self.calls_tools(reply)}
        ballots = self.cast(
            slots=range(len(named)), answers=answers, probabilities=np.full(len(named), 0.5), exact=calls
        )
        vote = get_vote(self.vote or "majority")
        shown = {i: self.shown(*given) for i, given in enumerate(zip(replies, answers, strict=True))}
        case = open_case(vote, ballots, shown, query)
        return _Count(tuple(named), ballots, vote, self.open_ended, bool(calls), case)

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
                counted.case.settle(
                    await counted.case.judge.member.model.ainvoke(list(counted.case.prompt), config)
                )
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

    async def _arun(
        self, candidates: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> Tally:
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
    calls_tools: bool
    """Whether some reply answers with tool calls."""
    case: Case | None

    def tally(self) -> Tally:
        ruling = None if self.case is None else self.case.ruling
        counted = tally(
            self.vote, self.ballots, members=self.members, open_ended=self.open_ended, ruling=ruling
        )
        instead = None if self.case is None else self.case.decided_by
        # Of two different calls both can be right.
        open_ended = self.open_ended or self.calls_tools
        return replace(counted, decided_by=instead or counted.decided_by, open_ended=open_ended)


def _several(candidates: Any) -> Mapping[str, Candidate] | Sequence[Candidate]:
    several: Mapping[str, Candidate] | Sequence[Candidate]
    several = [candidates] if isinstance(candidates, (str, BaseMessage, Generation)) else candidates
    return several


def _reply(candidate: Candidate) -> BaseMessage | str:
    if isinstance(candidate, ChatGeneration):
        return candidate.message
    if isinstance(candidate, Generation):
        return candidate.text
    if isinstance(candidate, str | BaseMessage):
        return candidate
    raise TypeError(
        f"A candidate is a {type(candidate).__name__}. Give texts, messages or generations, in a list or a dict by name."
    )

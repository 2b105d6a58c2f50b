"""Output parser that votes: candidate generations in, tally out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from langchain_selectllm.answers import AnswerExtractor, get_extractor
from langchain_selectllm.fanout.deadlines import Limits
from langchain_selectllm.fanout.member_calls import MemberCalls, Scope, child_scope, inherited_scope
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.election_terms import ElectionTerms
from langchain_selectllm.routing.judge import call_judge, call_judge_async
from langchain_selectllm.routing.reply_reader import Reply, ReplyReader
from langchain_selectllm.routing.settings_checks import check_names
from langchain_selectllm.voting.tally import Tally
from langchain_selectllm.voting.votes import VoteStrategy, get_vote

Candidate = str | BaseMessage | Generation
Candidates = Mapping[str, Candidate] | Sequence[Candidate]


class VotingOutputParser(BaseOutputParser[Tally]):
    """Reads an answer from every candidate and returns the tally of their vote; `str(tally)` is the answer.

    Works on the replies of a router's members, on n samples of one model, and behind a `RunnableParallel` of
    models. Outside a router it knows no probabilities, so that every candidate weighs the same.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    answer: str | Callable[[str], str | None] | AnswerExtractor = "text"
    """Extractor of answers: "choice", "code", "json", "number", "text", a callable from reply to answer, or
    an extractor such as `SemanticAnswers`."""
    vote: str | VoteStrategy | None = None
    """Vote: "majority", "weighted", "log_odds" or a strategy such as `JudgeVote`, in a router "learned" too;
    a router's policy decides when None."""

    _reader: ReplyReader = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        """Check the names at once.

        Raises:
            AnswerError: If the extractor is unknown.
            PolicyError: If the vote is unknown.
            TypeError: If a keyword argument is no field.
        """
        check_names(type(self).__name__, kwargs, type(self).model_fields)
        super().__init__(**kwargs)
        self._reader = ReplyReader.of(get_extractor(self.answer))
        if self.vote is not None and self.vote != "learned":
            get_vote(self.vote)

    @property
    def reader(self) -> ReplyReader:
        """Reads and compares the answers of replies."""
        return self._reader

    def extract(self, reply: Reply, query: str | None = None) -> str | None:
        """Canonical answer of one reply; None = abstain. See `ReplyReader.read`."""
        return self._reader.read(reply, query)

    def count(self, candidates: Candidates, query: str | None = None) -> Tally:
        """The tally of candidates that all weigh the same.

        Args:
            candidates: Texts, messages or generations; by member, or in a list of samples.
            query: The prompt's text, for extractors that read its options and for judges.
        """
        return self._judged(self._election(candidates, query), inherited_scope)

    def _election(self, candidates: Candidates, query: str | None = None) -> Election:
        named: dict[str, Candidate] = {}
        if isinstance(candidates, Mapping):
            named.update(candidates)
        else:
            for number, candidate in enumerate(candidates, start=1):
                named[f"sample {number}"] = candidate
        terms = ElectionTerms(
            members=tuple(named),
            probabilities=np.full(len(named), 0.5),
            vote=get_vote(self.vote or "majority"),
            reader=self._reader,
            query=query,
        )
        election = Election(terms)
        for member, candidate in enumerate(named.values()):
            election.add(member, _reply(candidate))
        return election

    def _judged(self, election: Election, scope: Scope) -> Tally:
        request = election.request_judge()
        if request is not None:
            call_judge(request, MemberCalls({}, "", {}, scope), Limits())
        return election.tally()

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
        scope = child_scope(config, run_manager, alone=False)
        return self._judged(self._election(_several(candidates)), scope)

    async def _arun(
        self, candidates: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> Tally:
        election = self._election(_several(candidates))
        if election.is_slow:
            request = await asyncio.to_thread(election.request_judge)
        else:
            request = election.request_judge()
        if request is not None:
            scope = child_scope(config, run_manager, alone=False)
            await call_judge_async(request, MemberCalls({}, "", {}, scope), Limits())
        return election.tally()

    @property
    def _type(self) -> str:
        return "selectllm_vote"


def _several(candidates: Any) -> Candidates:
    if isinstance(candidates, str | BaseMessage | Generation):
        return [candidates]
    several: Candidates = candidates
    return several


def _reply(candidate: Candidate) -> Reply:
    if isinstance(candidate, ChatGeneration):
        return candidate.message
    if isinstance(candidate, Generation):
        return candidate.text
    if isinstance(candidate, str | BaseMessage):
        return candidate
    raise TypeError(
        f"A candidate is a {type(candidate).__name__}. Give texts, messages or generations, in a list or a "
        "dict by name."
    )

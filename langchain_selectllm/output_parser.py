"""Candidate generations in, voted answer out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from langchain_selectllm.answers import AnswerExtractor, get_extractor
from langchain_selectllm.tally import Tally, tally
from langchain_selectllm.tool_votes import canonical_calls
from langchain_selectllm.voting import VoteStrategy, cast, get_vote

Candidate = str | BaseMessage | Generation


class VotingOutputParser(BaseOutputParser[Tally]):
    """Reads an answer from every candidate generation and returns the tally of their vote; `str(tally)` is the answer.

    Works on the replies of a router's members, on n samples of one model, and behind a `RunnableParallel` of models. On
    its own it knows no probabilities, so that every candidate weighs the same.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    answer: str | Callable[[str], str | None] | AnswerExtractor = "text"
    """How an answer is read: "choice", "number", "text", "json", a callable from reply to answer, or an extractor."""
    vote: str | VoteStrategy | None = None
    """How ballots are scored: "majority", "weighted", "log_odds" or a strategy, in a router "learned" too; a router's policy
    decides when None."""

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
        if isinstance(reply, AIMessage) and (reply.tool_calls or reply.invalid_tool_calls):
            return canonical_calls([] if reply.invalid_tool_calls else reply.tool_calls)
        return self._extractor.extract(reply if isinstance(reply, str) else reply.text, query)

    def count(self, candidates: Mapping[str, Candidate] | Sequence[Candidate], query: str | None = None) -> Tally:
        """The tally of candidates that all weigh the same.

        Args:
            candidates: Texts, messages or generations; by member, or in a list of samples.
            query: The prompt's text, for extractors that read what it offers.
        """
        named = candidates if isinstance(candidates, Mapping) else {f"sample {i + 1}": c for i, c in enumerate(candidates)}
        ballots = cast(
            slots=range(len(named)),
            answers=[self.extract(_reply(candidate), query) for candidate in named.values()],
            probabilities=np.full(len(named), 0.5),
        )
        return tally(get_vote(self.vote or "majority"), ballots, members=list(named))

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Tally:
        return self.count(result)

    @override
    def parse(self, text: str) -> Tally:
        return self.count([text])

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Tally:
        """The tally of one candidate, a list of candidates, or a dict of them by name."""
        return self._call_with_config(self._count_input, input, config, run_type="parser")

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Tally:
        """The tally of one candidate, a list of candidates, or a dict of them by name."""
        return self.invoke(input, config)

    def _count_input(self, candidates: Any) -> Tally:
        if isinstance(candidates, (str, BaseMessage, Generation)):
            return self.count([candidates])
        return self.count(candidates)

    @property
    def _type(self) -> str:
        return "selectllm_vote"


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

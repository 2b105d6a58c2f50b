"""Output parser that votes: candidate generations in, tally out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import Generation
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from langchain_selectllm.answers import AnswerExtractor, get_extractor
from langchain_selectllm.answers.auto import EXTRACTOR_NAMES
from langchain_selectllm.exceptions import AnswerError
from langchain_selectllm.routing.reply_reader import Reply, ReplyReader
from langchain_selectllm.routing.settings_checks import check_names
from langchain_selectllm.voting.tally import Tally
from langchain_selectllm.voting.votes import VoteStrategy, get_vote

if TYPE_CHECKING:
    from langchain_selectllm.routing.candidate_vote import Candidates
    from langchain_selectllm.routing.election import Election


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

    def count(self, candidates: "Candidates", query: str | None = None) -> Tally:
        """The tally of candidates that all weigh the same.

        Args:
            candidates: Texts, messages or generations; by member, or in a list of samples.
            query: The prompt's text, for extractors that read its options and for judges.
        """
        from langchain_selectllm.fanout.member_calls import inherited_scope
        from langchain_selectllm.routing.candidate_vote import judged

        return judged(self._election(candidates, query), inherited_scope)

    def _election(self, candidates: "Candidates", query: str | None = None) -> "Election":
        # A router, which holds its own elections, is made without the modules of this one.
        from langchain_selectllm.routing.candidate_vote import open_election

        vote = get_vote(self.vote or "majority")
        return open_election(candidates, vote=vote, reader=self._reader, query=query)

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
        from langchain_selectllm.fanout.member_calls import child_scope
        from langchain_selectllm.routing.candidate_vote import judged

        return judged(self._election(candidates), child_scope(config, run_manager, alone=False))

    async def _arun(
        self, candidates: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> Tally:
        from langchain_selectllm.fanout.member_calls import child_scope
        from langchain_selectllm.routing.candidate_vote import judged_async

        scope = child_scope(config, run_manager, alone=False)
        return await judged_async(self._election(candidates), scope)

    @property
    def _type(self) -> str:
        return "selectllm_vote"


def parser_of_training(answer_type: str) -> VotingOutputParser:
    """The parser with the extractor that most training replies were read with.

    Raises:
        AnswerError: If that was a custom one.
    """
    if answer_type in EXTRACTOR_NAMES:
        return VotingOutputParser(answer=answer_type)
    raise AnswerError(
        f"The classifier was trained with a custom answer extractor ({answer_type!r}). Pass "
        "parser=VotingOutputParser(answer=...) with that extractor or callable."
    )

"""Canonical answers of replies: text read by an extractor, tool calls by name and arguments."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage
from numpy.typing import NDArray

from langchain_selectllm.answers import AnswerExtractor, ComparesAnswers, is_open_ended, read_answer
from langchain_selectllm.answers.endings import Ending, ending_of, finish_reason_of

Reply = BaseMessage | str


class Abstention(StrEnum):
    """Reason why a reply has no ballot."""

    REFUSED = "refused"
    CUT_OFF = "cut off"
    """Before it had stated its answer."""
    INVALID_CALL = "invalid tool call"
    INVALID_OBJECT = "invalid object"
    """Not valid by the schema of structured output."""
    UNREADABLE = "unreadable"
    """Holds no answer of the kind that is voted on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplyReader:
    """Reads the answers of replies, and compares them where its extractor can."""

    extractor: AnswerExtractor
    comparer: ComparesAnswers | None
    """The extractor, where it compares answers that are not equal."""
    open_ended: bool
    """Whether several different answers can all be correct."""

    @classmethod
    def of(cls, extractor: AnswerExtractor) -> "ReplyReader":
        """The reader around an extractor."""
        comparer = None
        if isinstance(extractor, ComparesAnswers):
            comparer = extractor
        return cls(extractor=extractor, comparer=comparer, open_ended=is_open_ended(extractor))

    @property
    def is_slow(self) -> bool:
        """Whether comparing answers runs a model, which would block an event loop."""
        return self.comparer is not None

    def read(self, reply: Reply, query: str | None = None) -> str | None:
        """Canonical answer of a reply; None = abstain.

        A reply that calls tools answers with its calls, names and arguments, never with its text; it abstains
        where a call cannot be read. Refused replies and those that were cut off are read by `read_answer`.
        """
        if isinstance(reply, str):
            return self.extractor.extract(reply, query)
        if isinstance(reply, AIMessage) and calls_tools(reply):
            if reply.invalid_tool_calls or ended(reply) is not Ending.COMPLETE:
                return None
            from langchain_selectllm.answers.tool_calls import canonical_calls

            return canonical_calls(reply.tool_calls)
        return read_answer(self.extractor, reply.text, query, finish_reason=_finish_reason(reply))

    def agreement(
        self, exact: Collection[str | None] = ()
    ) -> Callable[[Sequence[str]], NDArray[np.float64]] | None:
        """Pairwise agreement of candidates, for `make_ballots`; None where only equal strings agree.

        Args:
            exact: Answers that agree with equal ones only, such as tool calls: two calls that differ in one
                argument read alike and do different things.
        """
        comparer = self.comparer
        if comparer is None:
            return None

        def agreement(candidates: Sequence[str]) -> NDArray[np.float64]:
            agrees = np.eye(len(candidates))
            free = [i for i, candidate in enumerate(candidates) if candidate not in exact]
            if len(free) > 1:
                # The rows and columns of the free candidates.
                agrees[np.ix_(free, free)] = comparer.agreement([candidates[i] for i in free])
            return agrees

        return agreement


def ended(reply: Reply) -> Ending:
    """How a reply ended; a text without its message is complete."""
    if isinstance(reply, str):
        return Ending.COMPLETE
    return ending_of(_finish_reason(reply))


def abstention_of(reply: Reply) -> Abstention:
    """The reason why a reply from which no answer was read abstains."""
    ending = ended(reply)
    if ending is Ending.REFUSED:
        return Abstention.REFUSED
    if ending is Ending.CUT_OFF:
        return Abstention.CUT_OFF
    if isinstance(reply, AIMessage) and reply.invalid_tool_calls:
        return Abstention.INVALID_CALL
    return Abstention.UNREADABLE


def _finish_reason(message: BaseMessage) -> str | None:
    return finish_reason_of(message.content, message.additional_kwargs, message.response_metadata)


def calls_tools(reply: Reply) -> bool:
    """Whether the reply answers with tool calls."""
    return isinstance(reply, AIMessage) and bool(reply.tool_calls or reply.invalid_tool_calls)


def text_for_judge(reply: Reply, answer: str | None) -> str:
    """Text of a reply that a judge is shown: all of it; the calls of one that calls tools."""
    if calls_tools(reply):
        return answer or ""
    return text_of(reply)


def text_of(reply: Reply) -> str:
    """Text blocks of a reply."""
    if isinstance(reply, str):
        return reply
    return str(reply.text)

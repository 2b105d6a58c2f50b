"""Recorded outcomes read and voted on by another parser than at training."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from langchain_selectllm.answers import AnswerExtractor, ComparesAnswers, read_answer
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.votes import VoteStrategy, get_vote


class _Reader(Protocol):
    @property
    def extractor(self) -> AnswerExtractor: ...


class VotingParser(Protocol):
    """A parser of replies with its vote, such as `VotingOutputParser`."""

    vote: str | VoteStrategy | None

    @property
    def reader(self) -> _Reader:
        """Reads the answers of replies."""
        ...


def read_anew(table: OutcomeTable, parser: VotingParser) -> OutcomeTable:
    """The table with its replies read by the parser; recorded scores stay as they are."""
    extractor = parser.reader.extractor
    answers = np.empty(table.answers.shape, dtype=np.object_)
    for at in np.ndindex(answers.shape):
        answers[at] = _answers(extractor, table.replies[at], table.texts[at[0]])
    comparer = None
    if isinstance(extractor, ComparesAnswers):
        comparer = extractor
    return replace(table, answers=answers, comparer=comparer, answer=extractor.name)


def vote_of(parser: VotingParser, pool: PoolStatistics) -> VoteStrategy | None:
    """The parser's vote; None where the vote of each policy counts.

    Raises:
        PolicyError: If it is a learned one that the pool lacks.
    """
    if parser.vote is None:
        return None
    if parser.vote == "learned":
        if pool.vote is None:
            raise PolicyError("The router has no learned vote. Fit on outcomes with replies.")
        return pool.vote
    return get_vote(parser.vote)


def _answers(extractor: AnswerExtractor, replies: Iterable[str], query: str) -> tuple[str | None, ...]:
    return tuple([read_answer(extractor, reply, query) for reply in replies])

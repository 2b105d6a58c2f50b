"""Evaluation with a parser of its own: votes by meaning on recorded replies."""

import numpy as np
import pytest
from langchain_core.runnables import RunnableLambda

from langchain_selectllm import JudgeVote, SemanticAnswers, VotingOutputParser
from langchain_selectllm.evaluation import evaluate
from langchain_selectllm.evaluation.parsed import read_anew
from langchain_selectllm.exceptions import PolicyError


def embed(texts):
    """One meaning for everything."""
    return np.ones((len(texts), 2))


def test_replies_are_read_and_compared_by_the_parser(demo):
    table = read_anew(demo[1], VotingOutputParser(answer=SemanticAnswers(embed)))
    assert table.answers[0, 0] == tuple(reply.strip() for reply in demo[1].replies[0, 0])
    assert table.comparer is not None
    assert (table.scores == demo[1].scores).all()


class Fewest:
    """The answer with the fewest ballots wins."""

    name = "fewest"

    def score(self, ballots):
        return -ballots.summed(np.ones_like(ballots.probabilities))


def all_members(fitted, demo, **fields):
    """Accuracy of the vote of the whole pool."""
    return evaluate(fitted, demo[1], policies=["max_conf:1"], **fields)["all_members"].accuracy


def test_the_vote_of_the_parser_replaces_that_of_the_policies(fitted, demo):
    fewest = VotingOutputParser(answer="number", vote=Fewest())
    assert all_members(fitted, demo, parser=fewest, allow_unreadable=True) < all_members(fitted, demo)


def test_votes_by_meaning_are_replayed(fitted, demo):
    # Every reply agrees with every other, so that the medoid wins and not the most frequent answer.
    parser = VotingOutputParser(answer=SemanticAnswers(embed))
    by_meaning = all_members(fitted, demo, parser=parser, allow_unreadable=True)
    assert by_meaning != all_members(fitted, demo)


def test_a_judge_cannot_be_replayed(fitted, demo):
    judge = JudgeVote(RunnableLambda(lambda messages: messages[-1]))
    with pytest.raises(PolicyError, match="cannot be replayed"):
        evaluate(fitted, demo[1], parser=VotingOutputParser(answer="number", vote=judge))

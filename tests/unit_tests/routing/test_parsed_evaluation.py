"""Evaluation with a parser of its own: votes by meaning on recorded replies."""

import re
from dataclasses import replace

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_selectllm import (
    JudgeVote,
    SelectLLMClassifier,
    SelectLLMRouter,
    SemanticAnswers,
    VotingOutputParser,
    parse_policy,
)
from langchain_selectllm.evaluation import evaluate
from langchain_selectllm.evaluation.judge_replies import JudgeReplies, RecordedJudge
from langchain_selectllm.evaluation.parsed import read_anew
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import OutcomeError, PolicyError
from langchain_selectllm.testing import replay_models
from tests.support.worlds import reply_table


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


class CountedJudge:
    """A judge that names the answer with the smallest text, and notes its calls."""

    def __init__(self, fails=()):
        self.calls = []
        self.fails = set(fails)

    def __call__(self, messages):
        self.calls.append(messages[-1].text)
        if len(self.calls) in self.fails:
            raise RuntimeError("down")
        texts = re.findall(r"<answer number=\"(\d+)\">\n(.*?)\n</answer>", messages[-1].text, re.DOTALL)
        return AIMessage(min(texts, key=lambda answer: answer[1])[0])


def judged(fitted, demo, judge, path, **fields):
    parser = VotingOutputParser(answer="number", vote=JudgeVote(RunnableLambda(judge)))
    report = evaluate(
        fitted,
        demo[1],
        parser=parser,
        judge_replies=path,
        policies=["max_conf:2"],
        allow_unreadable=True,
        **fields,
    )
    return {system.name: system.accuracy for system in report.systems}


def test_a_judge_is_called_once_per_choice_and_replayed_afterwards(fitted, demo, tmp_path):
    path, judge = tmp_path / "judge.jsonl", CountedJudge()
    first = judged(fitted, demo, judge, path)
    n_calls = len(judge.calls)
    assert n_calls == len(set(judge.calls)) == len(path.read_text().splitlines())
    assert n_calls > 10
    unused = CountedJudge()
    assert judged(fitted, demo, unused, path) == first
    assert unused.calls == []


def test_a_replayed_judge_chooses_as_in_serving(fitted, demo, tmp_path):
    judge = CountedJudge()
    parser = VotingOutputParser(answer="number", vote=JudgeVote(RunnableLambda(judge)))
    # Replayed members reply by text: of queries with the same text, the last one's reply.
    rows = np.sort(list({text: i for i, text in enumerate(demo[1].texts)}.values()))[:40]
    table = read_anew(demo[1], parser).take(rows)
    first = SelectLLMRouter(
        classifier=fitted,
        models=replay_models(demo[1]),
        parser=parser,
        policy="all_members",
        early_stop=False,
    )
    served = [first.invoke(text).response_metadata["selectllm"]["answer"] for text in table.texts]
    prompts = set(judge.calls)
    recording = Recording.of(table, fitted)
    vote = RecordedJudge(
        judge=parser.vote, outcomes=recording.outcomes, replies=JudgeReplies(tmp_path / "judge.jsonl")
    )
    trace = replace(recording, vote=vote).trace(parse_policy("all_members"))
    replayed = [
        recording.votes.candidates[i][code] if code >= 0 else None
        for i, code in enumerate(trace.verdict.winners.tolist())
    ]
    assert replayed == served
    # The same prompts too, and therefore the same replies.
    assert set(judge.calls) == prompts


def test_replies_of_a_judge_that_fails_now_and_then_are_kept(fitted, demo, tmp_path):
    path, judge = tmp_path / "judge.jsonl", CountedJudge(fails=[3])
    with pytest.raises(PolicyError, match=r"1 of \d+ calls of the judge failed \(RuntimeError: down\)"):
        judged(fitted, demo, judge, path)
    n_kept = len(path.read_text().splitlines())
    assert n_kept == len(judge.calls) - 1
    again = CountedJudge()
    judged(fitted, demo, again, path)
    assert not set(again.calls) & set(judge.calls[:2])


def test_a_judge_without_a_file_for_its_replies_is_refused(fitted, demo):
    with pytest.raises(PolicyError, match="Give judge_replies=FILE"):
        judged(fitted, demo, CountedJudge(), None)


def test_a_file_of_something_else_is_no_file_of_replies(fitted, demo, tmp_path):
    path = tmp_path / "judge.jsonl"
    path.write_text("[]\n")
    with pytest.raises(OutcomeError, match="holds no judge's replies: line 1 cannot be read"):
        judged(fitted, demo, CountedJudge(), path)


def test_decisive_ballots_are_counted_by_the_vote_of_the_parser():
    # m0 is always right, so that the policy's own vote answers A; three equal ballots of a majority answer B, and
    # two of them still do: no single ballot decides.
    outcomes = reply_table(["ABBBC"] * 60, ["A"] * 60)
    report = evaluate(
        SelectLLMClassifier().fit(outcomes),
        outcomes,
        policies=["weighted_max_conf:5"],
        parser=VotingOutputParser(answer="choice", vote="majority"),
        allow_training_queries=True,
    )
    usage = report.to_dict()["figures"]["members"]["usage"]
    assert [one["called_share"] for one in usage] == [1.0] * 5
    assert [one["decisive_share"] for one in usage] == [0.0] * 5

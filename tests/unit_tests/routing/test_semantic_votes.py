import threading

import numpy as np
import pytest

from langchain_selectllm import (
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    SemanticAnswers,
    VotingOutputParser,
)
from langchain_selectllm.evaluation import evaluate
from langchain_selectllm.exceptions import AnswerError
from langchain_selectllm.testing import ReplayChatModel, replay_models
from langchain_selectllm.voting.ballots import NOT_CALLED, make_ballots
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import MajorityVote, WeightedVote, count_votes
from tests.support.fitted import three_members
from tests.support.meanings import angle, meaning
from tests.support.routers import metadata_of


def test_replies_that_say_the_same_vote_together():
    tally = VotingOutputParser(answer=meaning()).count({"a": "at 90", "b": "at 0", "c": "at 10"})
    assert (tally.answer, tally.winner, tally.support, tally.decided_by) == (
        "at 0",
        "b",
        pytest.approx(2 / 3),
        "vote",
    )
    assert tally.answers == {"a": "at 90", "b": "at 0", "c": "at 10"}
    assert tally.scores == {"at 90": 1.0, "at 0": 2.0}


def test_the_answer_is_the_medoid_of_the_group_and_its_author_wins():
    # 0 and 30 and 60: only 30 agrees with both others (0 with 60 is cos 60 = 0.5).
    tally = VotingOutputParser(answer=meaning()).count(["at 0", "at 60", "at 30"])
    assert (tally.answer, tally.winner, tally.support) == ("at 30", "sample 3", 1.0)


def test_an_answer_is_never_drawn_in_by_way_of_a_third_one():
    # 30 has most agreement (with 0, 60); 90 agrees with 60 alone and stays outside.
    tally = VotingOutputParser(answer=meaning()).count(["at 0", "at 30", "at 60", "at 90"])
    assert tally.scores == {"at 30": 3.0, "at 90": 1.0}


def test_the_threshold_says_what_is_the_same():
    replies = ["at 0", "at 30", "at 31"]
    assert len(VotingOutputParser(answer=meaning(0.8)).count(replies).scores) == 1
    assert len(VotingOutputParser(answer=meaning(0.9)).count(replies).scores) == 2
    assert len(VotingOutputParser(answer=meaning(1.0)).count(replies).scores) == 3


def test_when_no_two_replies_agree_the_result_says_so():
    tally = VotingOutputParser(answer=meaning()).count(["at 0", "at 90"])
    assert (tally.answer, tally.decided_by) == ("at 0", "no two replies agree")
    assert VotingOutputParser(answer=meaning()).count(["at 0"]).decided_by == "vote"
    assert VotingOutputParser(answer="text").count(["one", "two"]).decided_by == "no two replies agree"
    assert VotingOutputParser(answer="choice").count(["(A)", "(B)"]).decided_by == "tie rule"


def test_blank_replies_abstain():
    tally = VotingOutputParser(answer=meaning()).count([" ", "at 0"])
    assert (tally.answer, tally.support) == ("at 0", 1.0)
    assert VotingOutputParser(answer=meaning()).count([" "]).decided_by == "no readable answer"


def ballots(texts, probabilities):
    parser = VotingOutputParser(answer=meaning())
    return make_ballots(
        slots=range(len(texts)),
        answers=texts,
        probabilities=np.array(probabilities),
        agreement=parser.reader.agreement(),
    )


def test_the_weighted_vote_weighs_groups_by_their_members():
    cast = ballots(["at 0", "at 10", "at 90"], [0.2, 0.3, 0.9])
    assert cast.codes.tolist() == [[0, 0, 2]]
    assert count_votes(MajorityVote(), cast).winners[0] == 0
    assert count_votes(WeightedVote(), cast).winners[0] == 2
    assert count_votes(WeightedVote(), cast).scores[0, [0, 2]].tolist() == [0.5, 0.9]


def test_groups_depend_on_the_members_called_and_on_no_other():
    # Without the member in the middle, 0 and 60 say different things.
    cast = ballots(["at 0", "at 30", "at 60"], [0.5, 0.5, 0.5])
    alone = cast.masked(np.array([[True, False, True]]))
    assert cast.codes.tolist() == [[1, 1, 1]]
    assert alone.codes.tolist() == [[0, NOT_CALLED, 2]]


def routed(replies, **kwargs):
    models = {f"m{k}": ReplayChatModel(model=f"m{k}", default=reply) for k, reply in enumerate(replies)}
    parser = VotingOutputParser(answer=meaning(), **kwargs)
    return SelectLLMRouter(classifier=three_members(), models=models, policy="all_members", parser=parser)


async def test_a_router_votes_by_meaning_and_leaves_the_event_loop_free():
    threads = set()

    def embed(texts):
        threads.add(threading.current_thread())
        return [angle(text) for text in texts]

    router = routed(["at 90", "at 0", "at 10"])
    router = router.model_copy(update={"parser": VotingOutputParser(answer=SemanticAnswers(model=embed))})
    sync, asynchronous = router.invoke("q"), await router.ainvoke("q")
    told = sync.response_metadata["selectllm"]
    assert told["answer"] in {"at 0", "at 10"}
    assert told["vote"]["decided_by"] == "vote"
    assert (
        told["answer"]
        == asynchronous.response_metadata["selectllm"]["answer"]
        == asynchronous.text
        == sync.text
    )
    threads.clear()
    await router.model_copy(
        update={"parser": VotingOutputParser(answer=SemanticAnswers(model=embed))}
    ).ainvoke("q")
    assert threads
    assert threading.main_thread() not in threads
    threads.clear()
    await VotingOutputParser(answer=SemanticAnswers(model=embed)).ainvoke(["at 1", "at 2"])
    assert threads
    assert threading.main_thread() not in threads


def test_early_stop_waits_for_replies_that_could_group_the_others_anew():
    told = routed(["at 0", "at 10", "at 90"]).invoke("q").response_metadata["selectllm"]
    assert (told["calls"], told["decided_early"]) == (3, False)


def open_table(rows, gold, answer):
    queries = [{"query_id": f"q{i}", "query": f"question {i}", "reference": g} for i, g in enumerate(gold)]
    replies = [
        {"query_id": f"q{i}", "model": f"m{k}", "response": text}
        for i, row in enumerate(rows)
        for k, text in enumerate(row)
    ]
    return OutcomeTable.from_records(queries, replies, answer=answer)


def test_outcomes_are_graded_by_meaning():
    table = open_table([["at 10", "at 90", " "]], ["at 0"], meaning())
    assert table.scores.tolist() == [[1.0, 0.0, 0.0]]
    assert table.answer == "semantic"


def test_the_reference_takes_no_part_in_the_vote():
    # 0 and 60 both agree with the reference at 30, but not with each other.
    votes = RecordedVotes.from_outcomes(open_table([["at 0", "at 60", "at 300"]], ["at 30"], meaning()))
    everybody = np.ones((1, 3), dtype=bool)
    verdict, score = votes.replay(MajorityVote(), everybody, np.full((1, 3), 0.5), np.full(3, np.nan))
    assert verdict.scores.tolist() == [[1.0, 1.0, 1.0]]
    assert score.tolist() == [1.0]


def test_evaluation_and_serving_group_alike():
    rng = np.random.default_rng(0)
    rows = [[f"at {a}" for a in rng.integers(0, 120, 4)] for _ in range(30)]
    votes = RecordedVotes.from_outcomes(open_table(rows, ["at 0"] * 30, meaning()))
    probabilities = rng.uniform(0.1, 0.9, (30, 4))
    mask = rng.random((30, 4)) < 0.7
    mask[:, 0] = True
    recorded = votes.ballots(probabilities, np.full(4, np.nan)).masked(mask)
    verdict = count_votes(WeightedVote(), recorded)
    ids = sorted(range(30), key=lambda i: f"q{i}")
    for row, i in enumerate(ids):
        slots = np.flatnonzero(mask[row]).tolist()
        served = make_ballots(
            agreement=VotingOutputParser(answer=meaning()).reader.agreement(),
            slots=slots,
            answers=[rows[i][k] for k in slots],
            probabilities=probabilities[row],
        )
        winner = served.candidates[0][count_votes(WeightedVote(), served).winners[0]]
        assert recorded.candidates[row][verdict.winners[row]] == winner


def test_a_learned_vote_is_replayed_and_served_alike_by_meaning():
    """Members that say the right thing in words of their own, and err independently."""
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 12, 120) * 30
    wrong = (gold[:, None] + 90 * rng.integers(1, 4, (120, 4))) % 360
    right = rng.random((120, 4)) < np.array([0.8, 0.7, 0.6, 0.5])
    said = np.where(right, gold[:, None], wrong) + rng.integers(-8, 9, (120, 4))
    table = open_table([[f"at {a}" for a in row] for row in said], [f"at {a}" for a in gold], meaning(0.9))
    assert table.scores.mean() == pytest.approx(right.mean())
    train, test = table.split(0.3)
    classifier = SelectLLMClassifier().fit(train)
    assert classifier.summary.vote == "learned"
    parser = VotingOutputParser(answer=meaning(0.9))
    for policy in ("weighted_max_conf:3", "fixed_best:3", "learned:3", "adaptive:3"):
        report = evaluate(classifier, test, policies=[policy])[policy]
        router = SelectLLMRouter(
            classifier=classifier, models=replay_models(test), policy=policy, parser=parser
        )
        served = [metadata_of(message) for message in router.batch(list(test.texts))]
        graded = [test.matches([one["answer"]], g)[0] for one, g in zip(served, test.references, strict=True)]
        assert np.mean(graded) == pytest.approx(report.accuracy)
        assert np.mean([one["calls"] for one in served]) == pytest.approx(report.calls)
        assert all(0.0 < one["confidence"] < 1.0 for one in served)


def test_a_router_over_such_a_classifier_asks_for_the_extractor():
    table = open_table([["at 10", "at 90"], ["at 0", "at 10"], ["at 90", "at 10"]], ["at 0"] * 3, meaning())
    classifier = SelectLLMClassifier().fit(table)
    models = {name: ReplayChatModel(model=name, default="at 0") for name in classifier.members}
    with pytest.raises(AnswerError, match=r"a custom answer extractor \('semantic'\)"):
        SelectLLMRouter(classifier=classifier, models=models)
    parser = VotingOutputParser(answer=meaning())
    router = SelectLLMRouter(classifier=classifier, models=models, policy="all_members", parser=parser)
    assert router.invoke("x").text == "at 0"

import json

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableParallel

from langchain_selectllm import MajorityVote, VotingOutputParser
from langchain_selectllm.exceptions import AnswerError, PolicyError
from tests.support.worlds import scripted


def test_it_votes_over_the_branches_of_a_runnable_parallel():
    chain = RunnableParallel(scripted({"a": "A", "b": "B", "c": "B"})) | VotingOutputParser(answer="choice")
    tally = chain.invoke("Which?")
    assert (tally.answer, tally.winner, tally.answers) == ("B", "b", {"a": "A", "b": "B", "c": "B"})


async def test_it_votes_over_them_in_async_chains_too():
    chain = RunnableParallel(scripted({"a": "A", "b": "B", "c": "B"})) | VotingOutputParser(answer="choice")
    assert (await chain.ainvoke("Which?")).answer == "B"


def test_self_consistency_over_n_samples_of_one_model():
    parser = VotingOutputParser(answer="number")
    samples = [ChatGeneration(message=AIMessage(f"The answer is {n}.")) for n in (18, 20, 18)]
    tally = parser.parse_result(samples)
    assert tally.answer == "18"
    assert tally.answers == {"sample 1": "18", "sample 2": "20", "sample 3": "18"}
    assert parser.invoke(["#### 5", "#### 5.0", "#### 6"]).answer == "5"
    assert parser.invoke([Generation(text="#### 7")]).answer == "7"


def test_it_parses_behind_one_model():
    model = scripted({"a": "C"})["a"]
    assert str((model | VotingOutputParser(answer="choice")).invoke("x")) == "C"
    assert VotingOutputParser(answer="choice").parse("(D)").answer == "D"


def test_content_blocks_are_read_as_text():
    message = AIMessage(
        [{"type": "reasoning", "reasoning": "(A)?"}, {"type": "text", "text": "The answer is (B)."}]
    )
    assert VotingOutputParser(answer="choice").invoke(message).answer == "B"


def test_a_callable_reads_answers():
    parser = VotingOutputParser(
        answer=lambda reply: json.loads(reply)["x"] if reply.startswith("{") else None
    )
    assert parser.invoke(['{"x": "p"}', "oops", '{"x": "p"}', '{"x": "q"}']).answer == "p"


def test_nothing_readable_is_said():
    tally = VotingOutputParser(answer="number").invoke(["none", "nothing"])
    assert (tally.answer, tally.decided_by) == (None, "no readable answer")


def test_the_vote_that_was_asked_for_is_taken():
    assert VotingOutputParser(vote="log_odds").invoke(["a"]).vote == "log_odds"
    assert VotingOutputParser(vote=MajorityVote()).invoke(["a"]).vote == "majority"


def test_bad_settings_and_inputs_are_refused():
    with pytest.raises(AnswerError, match="Unknown answer extractor 'letter'"):
        VotingOutputParser(answer="letter")
    with pytest.raises(PolicyError, match="Vote 'plurality' is unknown"):
        VotingOutputParser(vote="plurality")
    with pytest.raises(TypeError, match="A candidate is a int"):
        VotingOutputParser().invoke([1, 2])

"""One election per request: replies enter one at a time, and are read and counted once."""

from dataclasses import replace

import numpy as np
import pytest
from langchain_core.messages import AIMessage

from langchain_selectllm import LogOddsVote, MajorityVote, VotingOutputParser, WeightedVote
from langchain_selectllm.answers import get_extractor
from langchain_selectllm.routing import election as election_module
from langchain_selectllm.routing.answer_confidence import AnswerConfidence
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.election_terms import ElectionTerms
from langchain_selectllm.routing.reply_reader import ReplyReader
from langchain_selectllm.voting.learned_vote import LearnedVote
from langchain_selectllm.voting.tally import DecidedBy

MEMBERS = ("a", "b", "c", "d")


class CountingExtractor:
    """Letters of a multiple choice, and the replies they were read from."""

    answer_type = "choice"
    open_ended = False

    def __init__(self):
        self.read = []

    def extract(self, reply, query=None):
        self.read.append(reply)
        return get_extractor("choice").extract(reply, query)


def terms(vote, extractor=None, probabilities=(0.9, 0.6, 0.5, 0.4)):
    return ElectionTerms(
        members=MEMBERS,
        probabilities=np.array(probabilities),
        vote=vote,
        reader=ReplyReader.of(extractor or get_extractor("choice")),
    )


def letter(name):
    return AIMessage(f"The answer is ({name}).")


def test_a_reply_is_read_once_however_often_the_election_is_asked():
    extractor = CountingExtractor()
    election = Election(terms(MajorityVote(), extractor))
    for member, name in enumerate("ABAA"):
        election.add(member, letter(name))
        election.is_settled(range(member + 1, 4))
        election.tally()
    assert (election.tally().answer, len(extractor.read)) == ("A", 4)


def test_winner_confidence_and_lead_come_from_one_posterior_of_a_learned_vote(fitted, monkeypatch):
    vote, probabilities = fitted.pool.vote, np.full(len(fitted.members), 0.6)
    confidence = AnswerConfidence(learned=vote, probabilities=probabilities)
    learned = replace(
        terms(vote, probabilities=probabilities), members=fitted.members, confidence=confidence, patience=0.5
    )
    computed, features = [], LearnedVote.features
    monkeypatch.setattr(LearnedVote, "features", lambda *args: computed.append(args) or features(*args))
    election = Election(learned)
    for n_replies, name in enumerate("AAB", start=1):
        election.add(n_replies - 1, letter(name))
        election.is_settled([3])
        assert election.tally().confidence == vote.posterior(election._built_ballots())[0, 0]
        assert len(computed) == n_replies


def test_an_additive_vote_builds_no_ballots_before_the_tally(monkeypatch):
    built = []
    make_ballots = election_module.make_ballots
    monkeypatch.setattr(
        election_module, "make_ballots", lambda **fields: built.append(fields) or make_ballots(**fields)
    )
    election = Election(terms(WeightedVote()))
    # 0.9 against at most 0.6 + 0.5 + 0.4; 0.9 + 0.6 against at most 0.5 + 0.4.
    election.add(0, letter("A"))
    assert not election.is_settled([1, 2, 3])
    election.add(1, letter("A"))
    assert election.is_settled([2, 3])
    assert built == []
    election.request_judge()
    election.tally()
    election.metadata()
    assert len(built) == 1


@pytest.mark.parametrize("vote", [MajorityVote(), WeightedVote(), LogOddsVote()])
def test_the_order_of_arrival_changes_nothing(vote):
    tallies = []
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        election = Election(terms(vote))
        for member in order:
            election.add(member, letter("ABBA"[member]))
        tallies.append(election.tally())
    assert tallies[0] == tallies[1] == tallies[2]
    assert list(tallies[0].answers) == list(MEMBERS)


def test_a_reply_after_a_tally_counts_in_the_next_one():
    election = Election(terms(MajorityVote()))
    election.add(0, letter("A"))
    assert election.tally().support == 1.0
    election.add(1, letter("B"))
    election.add(2, letter("B"))
    assert (election.tally().answer, election.tally().support) == ("B", pytest.approx(2 / 3))


def test_who_decided_is_a_rule_and_the_reason_a_note():
    election = Election(terms(MajorityVote(), probabilities=(0.5, 0.5, 0.5, 0.5)))
    election.add(0, letter("A"))
    election.add(1, letter("B"))
    counted = election.tally()
    assert (counted.decided_by, counted.note, counted.explanation) == (DecidedBy.TIE_RULE, None, "tie rule")
    assert election.metadata()["vote"]["decided_by"] == "tie rule"


def test_the_output_parser_counts_by_the_same_election():
    election = Election(terms(MajorityVote()))
    for member in range(3):
        election.add(member, letter("ABB"[member]))
    parser = VotingOutputParser(answer="choice", vote="majority")
    counted = parser.count({name: letter("ABB"[k]) for k, name in enumerate("abc")})
    assert (counted.answer, counted.support) == (election.tally().answer, election.tally().support)


class AFifthPerBallot:
    """A posterior of 0.2 for every ballot of a candidate."""

    tokens = None

    def posterior(self, ballots):
        return 0.2 * ballots.summed(np.ones((1, len(MEMBERS))))


def test_patience_ends_the_vote_at_its_level_and_not_below():
    def elect(patience, letters):
        confidence = AnswerConfidence(learned=AFifthPerBallot(), probabilities=np.full(4, 0.5))
        election = Election(replace(terms(MajorityVote()), confidence=confidence, patience=patience))
        for member, name in enumerate(letters):
            election.add(member, letter(name))
        return election.is_settled(range(len(letters), 4)), election.is_impatient

    # The fourth ballot may make it a tie. A has 0.4 and B 0.2, so that A's lead is two thirds.
    assert elect(None, "AAB") == (False, False)
    assert elect(0.66, "AAB") == (True, True)
    assert elect(0.67, "AAB") == (False, False)
    # Two of four are not most of them, though nobody contradicts.
    assert elect(0.66, "AA") == (False, False)


def test_a_vote_that_is_settled_is_not_called_impatient():
    election = Election(replace(terms(MajorityVote()), patience=0.9))
    for member in range(3):
        election.add(member, letter("A"))
    assert election.is_settled((3,))
    assert not election.is_impatient

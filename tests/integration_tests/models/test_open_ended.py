"""Votes by meaning with the real MiniLM weights."""

import numpy as np
import pytest

from langchain_selectllm import SemanticAnswers, VotingOutputParser
from langchain_selectllm.encoders.sentence import SentenceEncoder

pytestmark = pytest.mark.filterwarnings("ignore")

# Three replies that say the same, and one that says something else about the same thing.
QUESTIONS = [
    (
        "Paris is the capital of France.",
        "The capital city of France is Paris.",
        "France has Paris as its capital.",
        "Lyon is a large city known for its food.",
    ),
    (
        "Water boils at 100 degrees Celsius at sea level.",
        "At sea level the boiling point of water is 100 °C.",
        "Water's boiling point at sea level is 100 degrees Celsius.",
        "Ice floats because it is less dense than water.",
    ),
    (
        "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
        "In photosynthesis plants make sugar and oxygen from light, water and carbon dioxide.",
        "Photosynthesis uses light to convert carbon dioxide and water to sugar and oxygen.",
        "Mitochondria release energy from food by respiration.",
    ),
    (
        "The Second World War ended in 1945.",
        "World War II ended in 1945.",
        "It was in 1945 that World War II came to an end.",
        "The treaty of Versailles was signed in Versailles.",
    ),
    (
        "You should restart the router and then check the cable.",
        "Restart the router first, then check the cable.",
        "Try restarting your router, and after that check the cable.",
        "Contact your bank and ask for a new card.",
    ),
    (
        "Shakespeare wrote Hamlet around 1600.",
        "Hamlet was written by Shakespeare about 1600.",
        "William Shakespeare wrote Hamlet around the year 1600.",
        "Goethe worked on Faust for most of his life.",
    ),
]


@pytest.fixture(scope="module")
def meaning(minilm):
    import torch

    torch.set_num_threads(1)
    return SemanticAnswers(model=minilm)


@pytest.mark.parametrize("replies", QUESTIONS)
def test_paraphrases_outvote_another_statement_wherever_it_stands(meaning, replies):
    *same, other = replies
    parser = VotingOutputParser(answer=meaning)
    for place in range(4):
        tally = parser.count([*same[:place], other, *same[place:]])
        assert tally.answer in same
        assert (tally.support, tally.decided_by) == (0.75, "vote")


def test_statements_about_different_things_are_not_voted_on(meaning):
    tally = VotingOutputParser(answer=meaning).count([replies[0] for replies in QUESTIONS])
    assert tally.decided_by == "no two replies agree"


def test_negation_is_beyond_embeddings(meaning):
    """A known limit, told in the docs of SemanticAnswers: keep it honest."""
    close = meaning.agreement(["The mushroom is safe to eat.", "The mushroom is not safe to eat."])
    assert close[0, 1] > 0


def test_replies_seen_before_cost_no_encoding(minilm):
    encode, encoded = SentenceEncoder(minilm).encode, []
    meaning = SemanticAnswers(model=lambda texts: encoded.extend(texts) or encode(texts))
    texts = [text for replies in QUESTIONS for text in replies]
    first = meaning.agreement(texts)
    assert encoded == texts
    assert np.array_equal(first, meaning.agreement(texts))
    assert encoded == texts

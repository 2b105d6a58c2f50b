"""Levels of patience that a router refuses."""

import pytest

from langchain_selectllm import SelectLLMRouter
from langchain_selectllm.exceptions import PolicyError
from tests.support.fitted import three_members
from tests.support.worlds import scripted


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patience": 0.0}, "above 0"),
        ({"patience": 1.5}, "at most 1"),
        ({"patience": 0.9, "early_stop": False}, "early_stop=True"),
    ],
)
def test_a_level_that_cannot_work_is_refused(fitted, fields, message):
    with pytest.raises(PolicyError, match=message):
        SelectLLMRouter(classifier=fitted, models=scripted(dict.fromkeys(fitted.members, "A")), **fields)


def test_without_a_learned_vote_there_is_no_patience():
    classifier = three_members()
    with pytest.raises(PolicyError, match="needs a learned vote"):
        SelectLLMRouter(
            classifier=classifier, models=scripted(dict.fromkeys(classifier.members, "A")), patience=0.9
        )

"""Patience at a router: calls that are given up, and levels that are refused."""

import pytest

from langchain_selectllm import SelectLLMRouter
from langchain_selectllm.exceptions import PolicyError
from tests.support.fitted import three_members
from tests.support.routers import make_router, metadata_of
from tests.support.worlds import scripted


def test_stragglers_are_given_up_at_the_level(fitted):
    # One call at a time, so that the first reply stands alone; any confidence is above one in a million.
    router = make_router(fitted, policy="learned:3", patience=1e-6, early_stop=True)
    metadata = metadata_of(router.invoke("x", {"max_concurrency": 1}))
    assert metadata["calls"] == 1
    assert len(metadata["cancelled"]) == 2
    assert (metadata["impatient"], metadata["decided_early"]) == (True, True)


def test_without_patience_the_learned_vote_waits_for_all(fitted):
    router = make_router(fitted, policy="learned:3", early_stop=True)
    metadata = metadata_of(router.invoke("x", {"max_concurrency": 1}))
    assert (metadata["calls"], metadata["cancelled"], metadata["impatient"]) == (3, [], False)


def test_the_tuned_level_is_the_artefacts(fitted):
    router = make_router(fitted, policy="learned:3", patience="tuned", early_stop=True)
    assert router.engine.settings.patience == fitted.pool.patience.level


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

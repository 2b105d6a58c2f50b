"""Patience at a router: calls that are given up, and levels that are refused."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage

from langchain_selectllm import SelectLLMRouter
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.fanout.deadlines import PatienceClock
from tests.support.fitted import three_members
from tests.support.routers import make_router, metadata_of
from tests.support.worlds import scripted


def test_stragglers_are_given_up_at_the_level(fitted):
    # One call at a time: two of three are most replies, and any lead is above one in a million.
    router = make_router(fitted, policy="learned:3", patience=1e-6, early_stop=True)
    metadata = metadata_of(router.invoke("x", {"max_concurrency": 1}))
    assert metadata["calls"] == 2
    assert len(metadata["cancelled"]) == 1
    assert (metadata["impatient"], metadata["decided_early"]) == (True, True)


def test_without_patience_the_learned_vote_waits_for_all(fitted):
    router = make_router(fitted, policy="learned:3", early_stop=True)
    metadata = metadata_of(router.invoke("x", {"max_concurrency": 1}))
    assert (metadata["calls"], metadata["cancelled"], metadata["impatient"]) == (3, [], False)


def test_the_tuned_level_is_the_artefacts(fitted):
    router = make_router(fitted, policy="learned:3", patience="tuned", early_stop=True)
    tuned = fitted.pool.patience
    settings = router.engine.settings
    assert (settings.patience, settings.patience_after_s) == (tuned.level, tuned.after_s)


def delayed(fitted, *delays, letters="AAAAA"):
    """Members that answer after these seconds, and hardly ever where none is given."""
    models = scripted(dict(zip(fitted.members, letters, strict=True)))
    for name, delay_s in zip(fitted.members, (*delays, *[60.0] * len(fitted.members)), strict=False):
        models[name] = models[name].model_copy(update={"delay_s": delay_s})
    return models


def asked(router, mode):
    if mode == "sync":
        return metadata_of(router.invoke("x"))
    return metadata_of(asyncio.run(router.ainvoke("x")))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_before_its_seconds_the_level_does_not_count(fitted, mode):
    models = delayed(fitted, *[0.01 * k for k in range(len(fitted.members))])
    router = make_router(
        fitted, models, policy="learned:5", patience=1e-6, patience_after_s=60, early_stop=True
    )
    metadata = asked(router, mode)
    assert (metadata["calls"], metadata["cancelled"], metadata["impatient"]) == (5, [], False)


@pytest.fixture
def stopped_clock(monkeypatch):
    """Time of patience, which stands still until two replies were counted, however busy the machine is."""
    n_counted, update, start = 0, PatienceClock.update, time.perf_counter()

    def count(clock, plan):
        nonlocal n_counted
        n_counted = len(plan.replies)
        return update(clock, plan)

    monkeypatch.setattr(PatienceClock, "update", count)
    now = SimpleNamespace(perf_counter=lambda: start if n_counted < 2 else time.perf_counter())
    monkeypatch.setattr("langchain_selectllm.fanout.deadlines.time", now)


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_late_members_are_given_up_without_another_reply(fitted, mode):
    router = make_router(
        fitted,
        delayed(fitted, 0.0, 0.0, 0.0),
        policy="learned:5",
        patience=1e-6,
        patience_after_s=0.3,
        early_stop=True,
    )
    metadata = asked(router, mode)
    assert metadata["cancelled"] == list(fitted.members[3:])
    assert metadata["impatient"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_late_members_are_waited_for_below_the_level(fitted, mode):
    models = delayed(fitted, 0.0, 0.0, 0.0, 0.0, 0.3, letters="AABBA")
    router = make_router(
        fitted, models, policy="learned:5", patience=1.0, patience_after_s=0.05, early_stop=True
    )
    metadata = asked(router, mode)
    assert metadata["impatient"] is False


def test_every_round_has_seconds_of_its_own():
    class Counter:
        is_slow = False

        def add(self, member, reply):
            pass

        def is_settled(self, outstanding, *, are_late):
            return are_late

        def next_round(self, called):
            return [1] if called == {0} else []

    plan = CallPlan(selected=[0], counter=Counter())
    clock = PatienceClock(30.0)
    plan.take(None)
    assert 0 < clock.update(plan) <= 30.0
    assert not plan.are_late
    # As if the time of the first round were over.
    clock._late_at = 0.0
    assert clock.update(plan) is None
    assert plan.done
    plan = CallPlan(selected=[0], counter=Counter())
    clock.update(plan)
    plan.take(None)
    plan.finish(0, AIMessage("A"), 0.1)
    assert plan.rounds == 2
    assert 0 < clock.update(plan) <= 30.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patience": 0.0}, "above 0"),
        ({"patience": 1.5}, "at most 1"),
        ({"patience": 0.9, "early_stop": False}, "early_stop=True"),
        ({"patience": 0.9, "patience_after_s": 0.0}, "Use seconds above 0"),
        ({"patience_after_s": 1.0}, "with a level"),
        ({"patience": "tuned", "patience_after_s": 1.0}, "seconds of its own"),
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

import asyncio
import json

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier, VotingOutputParser
from langchain_selectllm.cli import main
from langchain_selectllm.exceptions import OutcomeError, StoreError
from langchain_selectllm.integrations.server.recent_outcomes import read_recent_outcomes
from langchain_selectllm.integrations.server.retraining import retrain
from langchain_selectllm.integrations.server.served_store import ServedStore
from langchain_selectllm.outcomes.table import AGREEMENT
from langchain_selectllm.testing import replay_models
from tests.support.served import chat, client, make_app
from tests.support.worlds import score_table

# What is learned from a store; the requests that fill it are tested on every pair elsewhere.
pytestmark = pytest.mark.newest
CHAT = "/v1/chat/completions"


async def serve_all(classifier, outcomes, url, feedback=()):
    """Serves every query of a table, each one shadowed; scores the answers of the queries in `feedback`."""
    app = make_app(
        classifier,
        replay_models(outcomes),
        store=url,
        keep_prompts=True,
        shadow=1.0,
        policy="max_conf:1",
        router={"parser": VotingOutputParser(answer=classifier.summary.answer_type)},
    )
    async with client(app) as http:
        shadow = app.state.selectllm.observers[1]
        for i, text in enumerate(outcomes.texts):
            reply = (await http.post(CHAT, json=chat(text))).json()
            if i in feedback:
                body = {"id": reply["selectllm"]["decision_id"], "score": 1.0}
                await http.post("/v1/selectllm/feedback", json=body)
            await shadow.finished()


@pytest.fixture(scope="module")
def world(demo, fitted, tmp_path_factory):
    """A store of served queries, the router that served them, and a weaker one fitted on few outcomes."""
    folder = tmp_path_factory.mktemp("loop")
    url = f"sqlite:///{folder}/served.db"
    asyncio.run(serve_all(fitted, demo[1], url, feedback=range(5)))
    fitted.save_pretrained(folder / "router")
    return folder, url


@pytest.fixture
def recent(world, fitted):
    with ServedStore(world[1]) as store:
        return read_recent_outcomes(store, fitted)


def test_shadowed_queries_become_outcomes_and_scored_ones_are_kept_apart(recent, demo):
    texts = set(demo[1].texts)
    scored = set(demo[1].texts[:5])
    assert set(recent.agreement.texts) == texts - scored
    assert recent.agreement.labels_from == AGREEMENT
    assert set(recent.agreement.members) == set(demo[1].members)
    assert set(recent.feedback.texts) == scored
    assert recent.feedback.labels_from == "references"


def test_the_newest_queries_are_held_out(recent):
    older, newest = recent.hold_out(0.25, np.ones(len(recent.agreement), dtype=bool))
    assert len(newest) == round(0.25 * len(recent.agreement))
    last = max(recent.last_served[query_id] for query_id in older.query_ids)
    assert all(recent.last_served[query_id] >= last for query_id in newest.query_ids)


def test_old_and_new_router_are_compared_on_queries_that_neither_has_seen(recent, demo, fitted):
    new, comparison = retrain(fitted, recent, training=demo[0], policy="max_conf:3", held_out=0.4)
    held_out = ~new.trained_on(recent.agreement)
    unknown = np.array([text not in demo[0].texts for text in recent.agreement.texts])
    # A tied vote labels nobody.
    unknown &= recent.agreement.observed.all(axis=1)
    assert held_out.sum() >= comparison.n_held_out == round(0.4 * unknown.sum())
    # Queries that training knows by their text are one.
    assert len(demo[0]) < comparison.n_training <= len(demo[0]) + comparison.n_recent
    assert comparison.low <= comparison.difference <= comparison.high
    assert comparison.accepted == (comparison.new_accuracy >= comparison.old_accuracy)
    assert new.members == fitted.members


def test_without_a_policy_each_is_compared_under_its_own_default(recent, demo):
    """A router trained on few scores has no operating points."""
    old = SelectLLMClassifier().fit(score_table(np.tile(np.eye(5), (4, 1)), demo[0].members))
    _, comparison = retrain(old, recent, training=demo[0], held_out=0.4)
    assert comparison.policy == "weighted_max_conf:3 and selectllm:3"


def test_too_few_held_out_queries_are_no_comparison(recent, fitted):
    with pytest.raises(OutcomeError, match="at least 30"):
        retrain(fitted, recent, held_out=0.05)


def test_a_store_without_shadows_is_named(fitted, tmp_path):
    with (
        ServedStore(f"sqlite:///{tmp_path}/empty.db") as store,
        pytest.raises(OutcomeError, match="--shadow"),
    ):
        read_recent_outcomes(store, fitted)


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["selectllm", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0, capsys.readouterr().out


def test_the_commands_tell_drift_and_save_a_router_that_is_not_worse(
    world, demo, monkeypatch, capsys, tmp_path
):
    folder, url = world
    code, out = run(monkeypatch, capsys, "drift", url, folder / "router")
    assert code == 0
    assert "Retraining is" in out
    code, out = run(monkeypatch, capsys, "drift", url, folder / "router", "--days", "1", "--json")
    assert json.loads(out)["n_requests"] == len(demo[1])
    code, out = run(
        monkeypatch,
        capsys,
        "retrain",
        url,
        folder / "router",
        "--out",
        tmp_path / "new",
        "--policy",
        "max_conf:3",
        "--json",
    )
    figures = json.loads(out)
    assert code == (0 if figures["accepted"] else 1)
    assert (tmp_path / "new").exists() == figures["accepted"]
    if figures["accepted"]:
        assert SelectLLMClassifier.from_pretrained(tmp_path / "new").members == demo[0].members


def test_a_worse_router_is_refused_and_nothing_is_saved(world, monkeypatch, capsys, tmp_path):
    from langchain_selectllm.integrations.server import retraining

    monkeypatch.setattr(retraining.Comparison, "difference", property(lambda self: -0.01))
    folder, url = world
    arguments = ("retrain", url, folder / "router", "--out", tmp_path / "new", "--policy", "max_conf:3")
    code, out = run(monkeypatch, capsys, *arguments)
    assert code == 1
    assert "Refused" in out
    assert not (tmp_path / "new").exists()


def test_a_store_that_nobody_served_into_is_refused(monkeypatch, capsys, world, tmp_path):
    with pytest.raises(StoreError, match="no store"):
        ServedStore(f"sqlite:///{tmp_path}/none.db", create=False)

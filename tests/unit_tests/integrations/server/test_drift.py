import pytest

from langchain_selectllm.exceptions import StoreError
from langchain_selectllm.integrations.server.drift import Rate, describe, measure_drift
from langchain_selectllm.integrations.server.served_store import StoredDecision
from tests.support.served import LETTERS


def decision(fitted, i, **fields):
    """A stored decision of three members that agree; `novelty`, `confidence` and the like can be changed."""
    body = {
        "answers": {"calculator": "answer 1", "reader": "answer 1"},
        "failures": {"guesser": "RuntimeError"},
        "cancelled": [],
        "probabilities": dict.fromkeys(LETTERS, 0.5),
        "confidence": fields.pop("confidence", 0.8),
    }
    values = {
        "decision_id": f"dec-{i}",
        "served_at": float(i),
        "artefact": fitted.learned.digest,
        "policy": "all_members",
        "novelty": 0.1,
        "shadow_of": None,
        "agrees": None,
        "decision": body,
        "query_id": None,
        "sample": None,
        "score": None,
    }
    return StoredDecision(**{**values, **fields})


def test_familiar_queries_that_go_well_need_no_new_router(fitted):
    rows = [decision(fitted, i, score=1.0) for i in range(10)]
    drift = measure_drift(rows, fitted)
    assert (drift.n_requests, drift.unfamiliar, drift.due) == (10, 0.0, False)
    assert drift.novelty == pytest.approx(0.1)
    text = "\n".join(describe(drift))
    assert "Retraining is not due" in text
    # Every call of the guesser failed.
    assert "guesser: called for 100% of the requests, 100% of its calls failed" in text
    assert "guesser fails often; look at the member" in text


def test_unfamiliar_queries_call_for_a_new_router_and_say_what_it_may_bring(fitted):
    rows = [decision(fitted, i, novelty=0.9, confidence=0.5) for i in range(5)]
    rows += [decision(fitted, i, confidence=0.9) for i in range(5, 10)]
    drift = measure_drift(rows, fitted)
    # Half of the queries could gain 0.9 - 0.5.
    assert drift.gain == pytest.approx(0.2)
    text = "\n".join(describe(drift))
    assert "Retraining is due: 50% of the texts are mostly unfamiliar." in text
    assert "at most 20.0 points" in text
    assert "serve with --keep-prompts" in text


def test_answers_that_users_find_wrong_call_for_a_new_router(fitted):
    rows = [decision(fitted, i, score=float(i < 5)) for i in range(20)]
    drift = measure_drift(rows, fitted)
    assert drift.feedback.mean == 0.25
    assert drift.feedback.high < drift.feedback_confidence == pytest.approx(0.8)
    text = "\n".join(describe(drift))
    assert "users find 25% of the answers right, 80% were expected" in text
    assert drift.gain == pytest.approx(0.55)
    assert "at most 55.0 points of accuracy, if answers become right as often as the router expects" in text


def test_shadow_agreement_is_told_and_shadows_are_no_requests(fitted):
    rows = [decision(fitted, 0), decision(fitted, 1, shadow_of="dec-0", agrees=True)]
    rows.append(decision(fitted, 2, shadow_of="dec-0", agrees=False))
    drift = measure_drift(rows, fitted)
    assert (drift.n_requests, drift.agreement.n, drift.agreement.mean) == (1, 2, 0.5)
    assert "in 50% of 2 shadowed requests" in "\n".join(describe(drift))


def test_decisions_of_another_router_are_left_out(fitted):
    rows = [decision(fitted, 0), decision(fitted, 1, artefact="other")]
    assert measure_drift(rows, fitted).n_other_artefacts == 1
    with pytest.raises(StoreError, match="1 decisions, none of them by this router"):
        measure_drift(rows[1:], fitted)


def test_the_interval_of_a_rate_is_wilsons():
    # 8 of 10: centre (0.8 + 0.19208) / 1.38416, half 1.96 * sqrt(0.016 + 0.009604) / 1.38416.
    rate = Rate.of([1.0] * 8 + [0.0] * 2)
    assert (rate.low, rate.high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert Rate.of([]) is None


def test_the_figures_are_plain_json(fitted):
    import json

    shown = measure_drift([decision(fitted, 0, score=1.0)], fitted).to_dict()
    assert json.loads(json.dumps(shown)) == shown

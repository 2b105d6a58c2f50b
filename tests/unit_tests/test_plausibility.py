import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter
from langchain_selectllm.answers.looks import option_looks
from langchain_selectllm.catalogue import parse_policy
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.plausibility import fit_plausibility
from langchain_selectllm.testing import replay_models

LETTERS = "ABCDE"


def middling_world(n, *, telling=True, seed=0):
    """Five numbers each, of which the right one lies in the middle (or all are drawn alike); three members that know little."""
    rng = np.random.default_rng(seed)
    queries, records = [], []
    for i in range(n):
        right = rng.integers(5)
        numbers = (
            np.insert(rng.permutation([11, 23, 67, 91]), right, 42).tolist() if telling else rng.integers(1, 99, 5).tolist()
        )
        options = "\n".join(f"({letter}) {number} km" for letter, number in zip(LETTERS, numbers, strict=True))
        text = f"How far is town {rng.integers(1000)} from town {rng.integers(1000)}?\n{options}"
        queries.append({"query_id": f"q{i:04d}", "query": text, "reference": LETTERS[right], "answer_type": "choice"})
        for k, rate in enumerate((0.5, 0.4, 0.4)):
            said = LETTERS[right] if rng.random() < rate else LETTERS[rng.integers(5)]
            records.append({"query_id": f"q{i:04d}", "model": f"m{k}", "response": f"The answer is ({said})."})
    return OutcomeTable.from_records(queries, records, members=["m0", "m1", "m2"])


def looks_and_right(table):
    return [option_looks(text).astype(np.float32) for text in table.texts], [LETTERS.index(gold) for gold in table.references]


@pytest.fixture(scope="module")
def world():
    return middling_world(700)


@pytest.fixture(scope="module")
def fitted(world):
    return SelectLLMClassifier().fit(world.take(np.arange(500)))


def test_options_that_look_right_are_told_on_queries_that_were_not_seen(world):
    looks, right = looks_and_right(world)
    plausibility, unseen = fit_plausibility(looks, right, seed=0)
    assert np.mean([own.argmax() == place for own, place in zip(unseen, right, strict=True)]) > 0.95
    fresh, truth = looks_and_right(middling_world(50, seed=1))
    told = [plausibility.log_odds(own) for own in fresh]
    assert np.mean([own.argmax() == place for own, place in zip(told, truth, strict=True)]) > 0.95
    assert np.abs(np.concatenate(told)).max() <= 4
    assert plausibility.accuracy[0] > 0.95
    assert plausibility.accuracy[1] == pytest.approx(0.2)


def test_what_looks_do_not_tell_is_not_used():
    looks, right = looks_and_right(middling_world(400, telling=False))
    assert fit_plausibility(looks, right, seed=0) is None


def test_too_few_known_right_options_teach_nothing(world):
    looks, right = looks_and_right(world)
    assert fit_plausibility(looks[:199], right[:199], seed=0) is None
    assert fit_plausibility(looks[:300], [*right[:150], *[-1] * 150], seed=0) is None


def test_queries_without_a_known_right_option_are_told_about_too(world):
    looks, right = looks_and_right(world)
    unknown = [-1 if i % 2 else place for i, place in enumerate(right)]
    _, unseen = fit_plausibility(looks, unknown, seed=0)
    assert np.mean([own.argmax() == place for own, place in zip(unseen[1::2], right[1::2], strict=True)]) > 0.95


def test_what_is_no_option_is_as_plausible_as_a_guess(fitted):
    vote = fitted.pool.vote
    assert vote.plausible("How far is it?", ["42"]).tolist() == [0]
    assert vote.plausible(None, ["A", "B"]).tolist() == [0, 0]
    assert vote.plausible("How far?\n(A) 1\n(B) 2", ["42", "Z"]).tolist() == [0, 0]


def test_the_vote_follows_looks_where_members_disagree(world, fitted):
    test = world.take(np.arange(500, 700))
    recording = Recording.of(test, fitted)
    voted = recording.replay_policy("learned:3", parse_policy("learned:3")).worth.mean()
    majority = recording.replay_policy("all_members", parse_policy("all_members")).worth.mean()
    oracle = recording.replay_oracle("oracle").worth.mean()
    assert majority + 0.1 < voted <= oracle


def test_serving_sees_the_looks_that_replay_sees(world, fitted):
    test = world.take(np.arange(500, 530))
    recording = Recording.of(test, fitted)
    replayed = recording.replay_policy("learned:3", parse_policy("learned:3"))
    router = SelectLLMRouter(classifier=fitted, models=replay_models(test), policy="learned:3")
    told = [router.invoke(text).response_metadata["selectllm"] for text in test.texts]
    assert [own["answer"] == gold for own, gold in zip(told, test.references, strict=True)] == replayed.worth.astype(
        bool
    ).tolist()
    assert [own["confidence"] for own in told] == pytest.approx(replayed.confidence.tolist(), abs=1e-5)


def test_looks_can_be_left_out(world, tmp_path):
    classifier = SelectLLMClassifier(looks=False).fit(world.take(np.arange(300)))
    assert classifier.pool.vote.plausibility is None
    classifier.save_pretrained(tmp_path / "router")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router")
    assert loaded.looks is False
    assert loaded.update(world.take(np.arange(300, 400)), training=world.take(np.arange(300))).pool.vote.plausibility is None


def test_plausibility_comes_back_from_disk_bit_for_bit(fitted, world, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    assert "a blind guess is, on 20 %." in (tmp_path / "router" / "README.md").read_text()
    vote, loaded = fitted.pool.vote, SelectLLMClassifier.from_pretrained(tmp_path / "router").pool.vote
    for text in world.texts[:20]:
        assert loaded.plausible(text, LETTERS).tolist() == vote.plausible(text, LETTERS).tolist()

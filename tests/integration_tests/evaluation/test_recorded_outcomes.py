"""The main job on recorded replies of real models."""

import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, evaluate
from langchain_selectllm.answers import get_extractor
from langchain_selectllm.outcomes.folders import read_queries, read_replies
from tests.support.pools import EIGHT


def selectllm(*arguments):
    command = [Path(sys.executable).with_name("selectllm"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mmlu_pro(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mmlu_pro")
    # The eight alone, because the command copies the replies of every member.
    (folder / "all" / "responses").mkdir(parents=True)
    for name in ("queries.jsonl.gz", *(f"responses/{member}.jsonl.gz" for member in EIGHT)):
        (folder / "all" / name).symlink_to((data / "mmlu_pro" / name).resolve(strict=True))
    selectllm("split", folder / "all", folder / "train", folder / "test", "--test", 0.3, "--seed", 0)
    selectllm("train", folder / "train", "--members", ",".join(EIGHT), "--out", folder / "router")
    selectllm("evaluate", folder / "router", folder / "test", "--report", folder / "report.json")
    report = json.loads((folder / "report.json").read_text())
    report["peak_kib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    report["folder"] = folder
    report["by_name"] = {system["name"]: system for system in report["systems"]}
    return report


def test_mmlu_pro_is_learned_and_voted_on_within_bounds(mmlu_pro):
    systems = mmlu_pro["by_name"]
    assert mmlu_pro["peak_kib"] < 2 * 1024**2
    assert mmlu_pro["classifier"]["auroc_macro"] >= 0.66
    assert systems["weighted_max_conf:5"]["accuracy"] >= systems["single_best"]["accuracy"] + 0.06
    assert mmlu_pro["classifier"]["brier"] < 0.23


def test_reference_systems_agree_with_ten_independent_lines(mmlu_pro):
    def answers(side):
        queries = {q.query_id: q for q in read_queries(mmlu_pro["folder"] / side)}
        read = get_extractor("choice")
        given = {name: {} for name in EIGHT}
        for reply in read_replies(mmlu_pro["folder"] / side, EIGHT):
            given[reply.member][reply.query_id] = read.extract(reply.text, queries[reply.query_id].text)
        return {i: q.reference for i, q in queries.items()}, given

    train_gold, train = answers("train")
    gold, test = answers("test")
    rate = {name: np.mean([train[name][i] == g for i, g in train_gold.items()]) for name in EIGHT}
    best = max(EIGHT, key=rate.get)
    right = {"oracle": 0, "single_best": 0, "all_members": 0}
    for i, g in gold.items():
        ballots = [(test[name][i], rate[name]) for name in EIGHT if test[name][i] is not None]
        tally = {
            a: (sum(b == a for b, _ in ballots), sum(r for b, r in ballots if b == a)) for a, _ in ballots
        }
        right["all_members"] += bool(tally) and max(tally, key=tally.get) == g
        right["single_best"] += test[best][i] == g
        right["oracle"] += any(test[name][i] == g for name in EIGHT)
    for name, count in right.items():
        assert mmlu_pro["by_name"][name]["accuracy"] == pytest.approx(count / len(gold), abs=1e-9)


def thinned(outcomes):
    """Every third query: enough for what is far apart."""
    return outcomes.take(range(0, len(outcomes), 3))


def test_scores_and_costs_without_texts_to_vote_on(data):
    train, test = thinned(OutcomeTable.from_folders(data / "routerdc_train")).split(0.3)
    report = evaluate(SelectLLMClassifier().fit(train), test)
    assert report["max_conf:1"].accuracy > report["single_best"].accuracy
    assert {system.name for system in report.systems} >= {"oracle", "single_best", "random:1", "fixed_best:1"}
    assert "all_members" not in {system.name for system in report.systems}


def test_recorded_prices_are_reported(data):
    train, test = thinned(OutcomeTable.from_folders(data / "routerbench_train", answer="choice")).split(0.3)
    report = evaluate(SelectLLMClassifier().fit(train), test, policies=["max_conf:1", "weighted_max_conf:3"])
    assert report.n_not_replayed == len(test) - report.n_queries
    assert (
        0
        < report["max_conf:1"].cost_usd
        < report["weighted_max_conf:3"].cost_usd
        < report["all_members"].cost_usd
    )
    assert report["oracle"].accuracy > report["all_members"].accuracy


def test_worked_solutions_are_voted_on(data):
    train, test = OutcomeTable.from_folders(data / "gsm8k_solutions").split(0.3)
    report = evaluate(SelectLLMClassifier().fit(train), test)
    assert report["single_best"].accuracy == pytest.approx(report.member_accuracy["openai-175b_verification"])
    assert report["weighted_max_conf:4"].accuracy >= report["random:4"].accuracy - 0.02


def test_numbers_agree_with_the_recorded_correctness(data):
    queries = {q.query_id: q for q in read_queries(data / "gsm8k_solutions")}
    read = get_extractor("number")
    agree = [
        (read.extract(reply.text) == read.canonical(queries[reply.query_id].reference))
        == reply.fields["upstream_correct"]
        for reply in read_replies(data / "gsm8k_solutions")
    ]
    assert len(agree) == 4 * 1319
    assert np.mean(agree) >= 0.995


def test_letters_agree_with_the_recorded_extraction(data):
    queries = {q.query_id: q for q in read_queries(data / "mmlu_pro")}
    read = get_extractor("choice")
    # Base models answer in the few-shot format, so that any disagreement is a reader's mistake.
    agree = [
        read.extract(reply.text, queries[reply.query_id].text) == reply.fields["upstream_answer"]
        for reply in read_replies(data / "mmlu_pro", ["Mistral-7B-v0.1", "Yi-34B", "gemma-7b"])
    ]
    assert np.mean(agree) >= 0.99


def test_order_of_lines_does_not_change_one_bit(data, tmp_path):
    source = data / "gsm8k_solutions"
    (tmp_path / "o" / "responses").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for file in [source / "queries.jsonl.gz", *(source / "responses").iterdir()]:
        lines = gzip.open(file, "rt").readlines()
        target = tmp_path / "o" / file.relative_to(source).with_suffix("")
        target.write_text("".join(rng.permutation(lines)))
    there, back = OutcomeTable.from_folders(source), OutcomeTable.from_folders(tmp_path / "o")
    texts = there.texts[:50]
    np.testing.assert_array_equal(
        SelectLLMClassifier().fit(there).predict_proba(texts),
        SelectLLMClassifier().fit(back).predict_proba(texts),
    )

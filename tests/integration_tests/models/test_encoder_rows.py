"""Rows of the comparison of encoders that need torch: a verifier of replies and hidden states, on models made by the test."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra `fine-tune`)")

from langchain_selectllm import OutcomeTable
from langchain_selectllm.encoders.fine_tuning import FineTuning
from langchain_selectllm.exceptions import EncoderError
from langchain_selectllm.outcomes.folders import write_records
from tests.support.small_models import save_llama, save_roberta

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import verifier
from encoders import Figures, measure_verifier, run
from trials import Setting
from verifier import Verifier

pytestmark = pytest.mark.filterwarnings("ignore")
TUNING = FineTuning(max_length=64, batch_size=16, epochs=6, learning_rates=(3e-3,))
MEMBERS = ("a", "b", "c")


@pytest.fixture(scope="module")
def small_roberta(tmp_path_factory):
    return str(save_roberta(tmp_path_factory.mktemp("roberta")))


def records(n=120):
    """Each reply says whether it is a guess. The one member that knows changes from query to query, and two others agree."""
    queries, replies = [], []
    rng = np.random.default_rng(0)
    for i in range(n):
        queries.append(
            {"query_id": f"q{i:03d}", "query": f"{i} + 1?", "reference": str(i + 1), "answer_type": "number"}
        )
        knows = rng.integers(len(MEMBERS))
        for k, name in enumerate(MEMBERS):
            text = (
                f"Surely. The answer is {i + 1}." if k == knows else f"A wild guess. The answer is {i + 9}."
            )
            replies.append({"query_id": f"q{i:03d}", "model": name, "response": text})
    return queries, replies


@pytest.fixture(scope="module")
def outcomes():
    return OutcomeTable.from_records(*records())


@pytest.fixture(scope="module")
def fitted_verifier(small_roberta, outcomes):
    """A verifier fitted on the training side."""
    return Verifier.fit(small_roberta, outcomes.split(0.3, seed=0)[0], tuning=TUNING)


def test_a_verifier_tells_right_replies_from_wrong_ones(fitted_verifier, outcomes):
    _, test = outcomes.split(0.3, seed=0)
    right = fitted_verifier.probabilities(test)
    assert right.shape == test.scores.shape
    assert right[test.scores == 1].min() > 0.7 > 0.3 > right[test.scores == 0].max()


def test_its_answer_may_be_that_of_a_minority(small_roberta, outcomes, monkeypatch):
    monkeypatch.setattr(verifier, "TUNING", TUNING)
    trial = measure_verifier(f"verifier:{small_roberta}", *outcomes.split(0.3, seed=0))
    assert trial.auroc > 0.99
    assert np.mean(trial.scores["learned:3"]) == 1
    assert trial.calls == {"learned:3": 3.0}


def test_it_reads_the_question_too(fitted_verifier):
    one, other = fitted_verifier.encoder.encode([("1 + 1?", "It is 2."), ("1 + 7?", "It is 2.")])
    assert one[0] != other[0]


@pytest.mark.parametrize("what", ["code", "pickled"])
def test_a_model_that_brings_code_or_pickled_weights_is_refused(what, outcomes, tmp_path):
    folder = save_roberta(tmp_path)
    if what == "code":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "own.Model"}}))
    else:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="names Python code of its own|holds no safetensors weights"):
        Verifier.fit(str(folder), outcomes)


def test_both_rows_are_added_to_the_table_of_a_pool(small_roberta, tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setattr(verifier, "TUNING", TUNING)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256}
    llama = save_llama(tmp_path / "llama", AutoTokenizer.from_pretrained(small_roberta), **sizes)
    write_records(tmp_path / "made", *records())
    rows = ["lexical", f"hidden:{llama}", f"verifier:{small_roberta}"]
    setting, figures = Setting("Made", "made"), Figures.read(tmp_path / "figures.json")
    monkeypatch.setattr("encoders.SETTINGS", (setting,))
    run(setting, tmp_path, rows, figures, (80, 30))
    page = figures.page()
    assert "| llama, hidden states | " in page
    assert f"| {Path(small_roberta).name}, verifier of replies | " in page
    # A second run finds everything in the file.
    monkeypatch.setattr("encoders.parts", None)
    again = Figures.read(tmp_path / "figures.json")
    run(setting, tmp_path, rows, again, (80, 30))
    assert again.page() == page

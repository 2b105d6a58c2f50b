"""The table of encoders: differences, times as ratios, and figures that a later run goes on from."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from encoders import Figures, Trial, figures_of, label, local_minilm
from trials import SETTINGS

SETTING = SETTINGS[4]


def trial(encoder: str, right: int, train_s: float = 2.0, decision_s: float = 0.001) -> Trial:
    return Trial(
        encoder=encoder,
        scores={"max_conf:1": [1.0] * right + [0.0] * (100 - right)},
        calls={"max_conf:1": 1.0},
        auroc=0.7,
        ece=0.05,
        train_s=train_s,
        decision_s=decision_s,
    )


@pytest.fixture
def figures(tmp_path):
    lexical, found = trial("lexical", 40), Figures.read(tmp_path / "figures.json")
    found.start(SETTING, (500, 400), (450, 100))
    found.keep(SETTING, "lexical", figures_of(lexical, lexical))
    found.keep(SETTING, "m", figures_of(trial("m", 60, train_s=50.0, decision_s=0.02), lexical))
    return found


def test_rows_are_compared_with_the_lexical_encoder(figures):
    lexical, other = figures.page().splitlines()[4:6]
    assert lexical == "| lexical | 0.700 | 0.050 | 40.0 (1.0) |  | - | - | - | - | 1.0 × | 1.0 × |"
    assert other.startswith("| m, frozen | 0.700 | 0.050 | 60.0 (1.0) | +20.0 [")
    assert other.endswith("] better | - | - | - | - | 25.0 × | 20.0 × |")


def test_a_label_names_the_model_and_no_folder_of_this_machine():
    assert label("lexical") == "lexical"
    assert label(f"fine-tune:{local_minilm()}") == "MiniLM, fine-tuned"
    assert label("hidden:/models/tiny-llama") == "tiny-llama, hidden states"
    assert label("verifier:org/name") == "name, verifier of replies"


def test_a_later_run_goes_on_from_the_file_unless_sizes_differ(figures):
    later = Figures.read(figures.file)
    assert later.page() == figures.page()
    assert later.missing(SETTING, (500, 400), ["lexical", "m", "verifier:m"]) == ["verifier:m"]
    assert later.missing(SETTINGS[0], (500, 400), ["m"]) == ["m"]
    assert later.missing(SETTING, (900, 400), ["m"]) == ["m"]
    later.start(SETTING, (900, 400), (900, 100))
    assert "lexical" not in later.page()

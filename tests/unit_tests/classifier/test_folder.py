import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.classifier.card import write_card
from langchain_selectllm.exceptions import (
    ArtefactCorruptError,
    ArtefactError,
    ArtefactFormatError,
    ArtefactMissingError,
    NotFittedError,
)
from langchain_selectllm.selection.operating_points import CallingRule, OperatingPoint


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    return tmp_path / "router"


def test_saved_equals_loaded_bit_for_bit(freshly_fitted, demo, tmp_path):
    fitted = freshly_fitted
    fitted.save_pretrained(tmp_path / "router")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router")
    np.testing.assert_array_equal(loaded.predict_proba(demo[1].texts), fitted.predict_proba(demo[1].texts))
    np.testing.assert_array_equal(loaded.pool.base_rates, fitted.pool.base_rates)
    assert loaded.members == fitted.members
    assert loaded.pool.fixed_sets == fitted.pool.fixed_sets
    assert loaded.summary == fitted.summary
    assert loaded.trained_on(demo[0]).all()


def test_saving_again_gives_the_same_bytes(saved, tmp_path):
    SelectLLMClassifier.from_pretrained(saved).save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_the_folder_holds_no_executable_format_and_explains_itself(saved, fitted):
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    card = (saved / "README.md").read_text()
    assert all(name in card for name in fitted.members)
    assert "macro AUROC" in card


def point(ranking, size, evidence="x", **rule):
    fields = {"ranking": ranking, "first": size, "size": size, **rule}
    return OperatingPoint(
        rule=CallingRule(**fields),
        accuracy=size / 10,
        calls=float(size),
        cost_usd=float("nan"),
        latency_s=float("nan"),
        evidence=evidence,
    )


def card_with(fitted, *points):
    pool = replace(fitted.pool, operating_points=points)
    return write_card(replace(fitted.learned, pool=pool))


def test_the_card_names_the_sizes_that_select_by_query_and_those_that_do_not(fitted):
    card = card_with(
        fitted,
        point("fixed", 1, ""),
        point("fixed", 2, "beats the single best member"),
        replace(point("query", 3, "beats the single best member"), accuracy=0.9),
    )
    assert "selecting by query pays at S = 3 to 5." in card
    assert "At S = 2 a fixed set of members is as good on validation as any selection by query:" in card
    assert "**no** paired evidence that another rule beats the single best member at S = 1:" in card
    assert "- S = 1: calls the single best member (no rule within its budget beats it on validation)" in card
    assert "- S = 2: calls the fixed set of 2 (beats the single best member)" in card
    assert "- S = 3 to 5: selects by query (beats the single best member)" in card


def test_the_card_lists_the_operating_points_of_every_s_with_their_settings(fitted):
    rule = {"first": 1, "cost_weight": 0.06, "threshold": 0.625}
    two_rounds = replace(point("query", 3, **rule), accuracy=0.1, calls=1.0, latency_s=1.5)
    card = card_with(fitted, two_rounds)
    cells = "by query | 1 | 3 | 0.62 | 0.06 | 0.100 | 1.00 | - | 1.50 |"
    assert f"| selectllm, S = 1 to 5; adaptive, S = 1 to 5 | {cells}" in card
    assert "more points, for other budgets" not in card
    dear = replace(two_rounds, accuracy=0.05)
    assert "1 more points, for other budgets of cost, latency and rounds, are in `config.json`." in card_with(
        fitted, dear, two_rounds
    )


def test_the_card_names_the_vote_or_what_stands_in_for_it(fitted):
    assert "A learned vote" in write_card(fitted.learned)
    summary = replace(fitted.summary, vote="log_odds (no replies to vote on)")
    bare = replace(
        fitted.learned,
        summary=summary,
        pool=replace(fitted.pool, vote=None, operating_points=()),
    )
    assert "No learned vote: log_odds (no replies to vote on)." in write_card(bare)
    assert "`selectllm:S` and `adaptive:S` cannot be used" in write_card(bare)
    grown = replace(bare, summary=fitted.summary)
    assert "No learned vote: a member was added after training." in write_card(grown)


def test_another_process_reads_the_same_bits(saved, fitted):
    code = (
        "from langchain_selectllm import SelectLLMClassifier as C\n"
        f"print(C.from_pretrained({str(saved)!r}).predict_proba(['Add 3 and 4.']).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == fitted.predict_proba(["Add 3 and 4."]).tolist()


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.999])
def test_truncated_arrays_are_refused(saved, keep):
    file = saved / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(ArtefactCorruptError, match="its checksum differs"):
        SelectLLMClassifier.from_pretrained(saved)


def test_a_changed_byte_is_refused(saved):
    file = saved / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactCorruptError, match="model.safetensors is not the file that was saved"):
        SelectLLMClassifier.from_pretrained(saved)


def test_a_changed_configuration_is_refused(saved):
    edit_config(saved, members=["x", "y", "z", "u", "v"])
    with pytest.raises(ArtefactCorruptError, match="was changed since it was written"):
        SelectLLMClassifier.from_pretrained(saved)


def test_a_truncated_configuration_is_refused(saved):
    file = saved / "config.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(ArtefactCorruptError, match="cannot be read"):
        SelectLLMClassifier.from_pretrained(saved)


@pytest.mark.parametrize(
    ("version", "advice"),
    [(6, "written by an earlier release: train again"), (99, "written by a newer release: upgrade")],
)
def test_another_format_is_refused_with_the_way_out(saved, version, advice):
    edit_config(saved, format_version=version)
    message = f"has format {version}; this release reads format 12. It was {advice}"
    with pytest.raises(ArtefactFormatError, match=message):
        SelectLLMClassifier.from_pretrained(saved)


def test_a_configuration_is_small(saved):
    assert (saved / "config.json").stat().st_size < 40_000


@pytest.mark.parametrize("content", ['{"model_type": "bert"}', "[]", "3"])
def test_a_foreign_folder_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ArtefactFormatError, match="is not a langchain-selectllm artefact"):
        SelectLLMClassifier.from_pretrained(tmp_path)


def test_missing_files_are_named(saved, tmp_path):
    with pytest.raises(ArtefactMissingError, match=r"has no config\.json"):
        SelectLLMClassifier.from_pretrained(tmp_path / "nowhere")
    (saved / "model.safetensors").unlink()
    with pytest.raises(ArtefactMissingError, match=r"has no model\.safetensors"):
        SelectLLMClassifier.from_pretrained(saved)


def test_the_card_is_for_people_and_may_be_edited(saved):
    (saved / "README.md").write_text("mine")
    assert SelectLLMClassifier.from_pretrained(saved).members


def test_an_artefact_is_replaced_but_nothing_else_is(saved, fitted, tmp_path):
    fitted.save_pretrained(saved)
    assert SelectLLMClassifier.from_pretrained(saved).members == fitted.members
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtefactError, match="is no artefact of this package"):
        fitted.save_pretrained(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_save_that_fails_leaves_the_old_artefact_and_no_rubbish(saved, fitted, demo, monkeypatch):
    from langchain_selectllm.classifier import card

    def fail(learned):
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(card, "write_card", fail)
    with pytest.raises(RuntimeError, match="disk on fire"):
        fitted.save_pretrained(saved)
    assert SelectLLMClassifier.from_pretrained(saved).members == fitted.members
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_an_unfitted_classifier_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError, match="Call fit"):
        SelectLLMClassifier().save_pretrained(tmp_path / "x")

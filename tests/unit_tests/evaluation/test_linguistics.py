import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from langchain_selectllm.evaluation.effects import Effect, adjusted, cliffs_delta, p_value
from langchain_selectllm.evaluation.linguistics import GroupComparison, LinguisticAnalysis, analyze_queries
from langchain_selectllm.evaluation.page.linguistics_charts import save_linguistics_plots
from langchain_selectllm.evaluation.query_features import query_features, syntax_features
from langchain_selectllm.exceptions import LeakageError, MissingDependencyError


def features_of(text):
    found = query_features([text], [""])
    return dict(zip(found.names, found.values[0], strict=True))


def test_cliffs_delta_counts_pairs():
    # Of six pairs, 3 > 1, 3 > 2 and 2 > 1 speak for the first, 2 = 2 for neither, 1 = 1 for neither, 1 < 2 against it.
    delta, (low, high) = cliffs_delta(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0]))
    assert delta == pytest.approx((3 - 1) / 6)
    assert low < delta < high


def test_the_interval_of_the_delta_covers_the_truth():
    # For two normal samples one standard deviation apart P(first > second) = Phi(1 / sqrt 2) = 0.7602.
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        _, (low, high) = cliffs_delta(rng.normal(1, 1, 80), rng.normal(0, 1, 120))
        covered += low <= 2 * 0.7602 - 1 <= high
    assert covered >= 180


def test_equal_values_show_nothing():
    same = np.ones(20)
    assert cliffs_delta(same, same)[0] == 0.0
    assert p_value(same, same) == 1.0


def test_p_values_are_corrected_for_the_number_of_tests():
    # Benjamini and Hochberg: 0.01 * 3 / 1, 0.02 * 3 / 2, 0.5 * 3 / 3.
    assert adjusted([0.02, 0.01, 0.5]) == pytest.approx([0.03, 0.03, 0.5])
    assert adjusted([]) == []


def test_features_count_what_they_are_called():
    text = "If Ann has 12 apples and 3.5 pears, which is not a fruit?\n(A) apple\n(B) pear\n(C) stone"
    found = features_of(text)
    assert found["numbers"] == 2
    assert found["negations"] == 1
    # "If" and "which".
    assert found["clauses"] == 2
    assert found["options"] == 3
    assert found["words"] == 13
    assert found["operations"] == 0
    assert features_of("What is 12 + 30 times 4?")["operations"] == 2
    assert features_of("The mitochondrial phenotype")["rare words"] == pytest.approx(2 / 3)


def test_categories_of_some_size_are_features():
    found = query_features(["text"] * 50, ["large"] * 30 + ["small"] * 5 + [""] * 15)
    assert found.names[-1] == "category large"
    assert found.values[:, -1].sum() == 30


def test_the_depth_of_a_tree_is_its_longest_path():
    root = SimpleNamespace(ancestors=[], dep_="ROOT")
    leaf = SimpleNamespace(ancestors=[root], dep_="advcl")
    doc = SimpleNamespace(ents=["Ann"], __iter__=None)

    class Doc(list):
        ents = doc.ents

    assert syntax_features(Doc([root, leaf])) == [2.0, 1.0, 1.0]


def test_a_pipeline_of_spacy_adds_the_features_of_syntax(monkeypatch):
    import spacy
    from spacy.language import Language

    # (word, its head, its dependency) of "If Ann leaves, Bob stays."
    tree = [(2, "mark"), (2, "nsubj"), (5, "advcl"), (5, "punct"), (5, "nsubj"), (5, "ROOT"), (5, "punct")]

    @Language.component("tree_by_hand")
    def tree_by_hand(doc):
        for token, (head, dependency) in zip(doc, tree, strict=True):
            token.head, token.dep_ = doc[head], dependency
        return doc

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": name} for name in ("Ann", "Bob")])
    pipeline.add_pipe("tree_by_hand")
    monkeypatch.setattr(spacy.util, "is_package", lambda name: True)
    monkeypatch.setattr(spacy, "load", lambda name: pipeline)
    found = query_features(["If Ann leaves, Bob stays."], [""])
    values = dict(zip(found.names, found.values[0], strict=True))
    # "Ann" hangs on "leaves", which hangs on "stays".
    assert values["depth"] == 3
    assert values["subordinate clauses"] == 1
    assert values["named entities"] == 2


@pytest.fixture(scope="module")
def marked(fitted, demo):
    """Test queries on which the member `reader` is wrong name three more numbers than the others."""
    test = demo[1]
    wrong = test.labels[:, test.members.index("reader")] == 0
    texts = tuple(f"{text} 7 8 9" if one else text for text, one in zip(test.texts, wrong, strict=True))
    return replace(test, texts=texts)


def test_a_feature_that_goes_with_wrong_answers_is_found_and_named(fitted, marked):
    analysis = analyze_queries(fitted, marked)
    reader = next(one for one in analysis.comparisons if one.name == "reader")
    effect = next(effect for effect in reader.effects if effect.feature == "numbers")
    assert effect.delta > 0.33
    assert effect.is_shown
    assert "numbers higher (mean" in reader.sentence()
    assert json.loads(json.dumps(analysis.to_dict()))["n_queries"] == len(marked)


def test_features_of_all_members_are_counted_on_one_line_each():
    groups = {"first": "wrong", "second": "right", "n_first": 20, "n_second": 20}
    compared = [GroupComparison(name="selectllm:3", effects=(), **groups)]
    for k, (delta, p) in enumerate([(0.5, 0.0), (0.3, 0.0), (-0.4, 0.0), (0.1, 0.0), (0.6, 0.9)]):
        effect = Effect(
            feature="words",
            mean_first=2.0,
            mean_second=1.0,
            delta=delta,
            ci95=(delta - 0.05, delta + 0.05),
            p=p,
            p_adjusted=p,
        )
        compared.append(GroupComparison(name=f"m{k}", effects=(effect,), **groups))
    compared.append(GroupComparison(name="too few", effects=(), **groups))
    analysis = LinguisticAnalysis(
        policy="selectllm:3", n_queries=40, features={"words": "number of words"}, comparisons=tuple(compared)
    )
    # The fourth effect is negligible, the fifth not shown.
    (row,) = analysis.features_of_members()
    assert (row.more, row.less, row.n_members, row.median_delta) == (2, 1, 5, 0.3)


def test_groups_of_few_queries_are_not_compared(fitted, demo):
    few = demo[1].take(range(12))
    analysis = analyze_queries(fitted, few)
    assert analysis.comparisons[0].effects == ()
    assert "too few queries to compare" in analysis.comparisons[0].sentence()


def test_training_queries_are_no_evidence(fitted, demo):
    with pytest.raises(LeakageError, match="280 of 280 queries were in the training outcomes"):
        analyze_queries(fitted, demo[0])


def test_the_charts_are_saved(fitted, marked, tmp_path):
    names = {path.name for path in save_linguistics_plots(analyze_queries(fitted, marked), tmp_path)}
    assert {"linguistics-members.svg", "linguistics-members.png"} <= names


def test_the_chart_of_members_names_every_member(tmp_path):
    effect = Effect(
        feature="words", mean_first=2.0, mean_second=1.0, delta=0.5, ci95=(0.4, 0.6), p=0.0, p_adjusted=0.0
    )
    compared = []
    for k in range(13):
        groups = {"first": "wrong", "second": "right", "n_first": 20, "n_second": 20}
        compared.append(GroupComparison(name=f"model-number-{k:02d}", effects=(effect,), **groups))
    analysis = LinguisticAnalysis(
        policy="selectllm:3", n_queries=40, features={"words": "number of words"}, comparisons=tuple(compared)
    )
    save_linguistics_plots(analysis, tmp_path)
    svg = (tmp_path / "linguistics-members.svg").read_text()
    shown = set(re.findall(r"<text[^>]*opacity=\"1\"[^>]*>(model-number-\d\d)<", svg))
    assert len(shown) == 12


def test_an_effect_is_shown_only_if_its_interval_agrees_with_its_test():
    figures = {"feature": "words", "mean_first": 2.0, "mean_second": 1.0, "delta": 0.2, "p": 0.001}
    assert Effect(**figures, ci95=(0.1, 0.3), p_adjusted=0.01).is_shown
    assert not Effect(**figures, ci95=(-0.1, 0.5), p_adjusted=0.01).is_shown
    assert not Effect(**figures, ci95=(0.1, 0.3), p_adjusted=0.06).is_shown


def test_without_the_extra_the_error_names_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "textstat", None)
    with pytest.raises(MissingDependencyError, match=r"linguistic analysis needs textstat.*\[analyze\]"):
        query_features(["text"], [""])

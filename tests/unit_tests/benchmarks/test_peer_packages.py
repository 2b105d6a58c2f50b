"""The pure parts of the comparison with other packages: files, comparison at equal cost, tables. No package is installed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable
from langchain_selectllm.evaluation.bootstrap import Bootstrap

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks/peer_packages"))
from exchange import Exchange
from peer_comparison import Difference, Outcome, at_equal_cost, outcomes_of, over_splits
from peer_exchange import Gold, write_exchange
from peer_list import PACKAGES, budgets
from peer_tables import Comparison, Measured, page, times_of, verdicts

SCRIPTS = Path(__file__).parents[3] / "benchmarks/peer_packages"
QUERIES = [
    {
        "query_id": f"q{i}",
        "query": f"{i} + 1?",
        "reference": str(i + 1),
        "answer_type": "number",
        "category": "sum",
    }
    for i in range(6)
]


def table(*, prices: bool = False) -> OutcomeTable:
    """`weak` answers the first two queries right, `strong` all but the last."""
    right = {"weak": 2, "strong": 5}
    replies = []
    for name, n_right in right.items():
        for i, query in enumerate(QUERIES):
            reply = {"query_id": query["query_id"], "model": name, "response": str(i + 1 + (i >= n_right))}
            replies.append({**reply, "cost_usd": {"weak": 0.25, "strong": 2.0}[name]} if prices else reply)
    return OutcomeTable.from_records(QUERIES, replies, members=["weak", "strong"])


def embed(texts):
    return np.array([[len(text), 1.0] for text in texts])


def written(folder: Path, *, prices: bool = False) -> tuple[Exchange, Gold]:
    outcomes = table(prices=prices)
    gold = write_exchange(
        folder, outcomes.take([0, 1, 2, 3]), outcomes.take([4, 5]), embed=embed, encoder=Path("minilm")
    )
    return Exchange(folder), gold


def test_scripts_read_what_the_driver_wrote(tmp_path):
    exchange, _ = written(tmp_path)
    assert exchange.members == ["weak", "strong"]
    assert exchange.pool["accuracies"] == [0.5, 1.0]
    assert exchange.train[2]["text"] == "2 + 1?"
    assert exchange.train[2]["scores"] == [0.0, 1.0]
    assert exchange.train[2]["reference"] == "3"
    assert exchange.replies("train")[2]["answers"] == ["4", "3"]
    assert exchange.strongest_first() == ["strong", "weak"]
    assert exchange.known_embeddings()["2 + 1?"].tolist() == [6.0, 1.0]


def test_scripts_do_not_see_the_outcomes_of_the_test_side(tmp_path):
    exchange, gold = written(tmp_path)
    assert exchange.test == [{"query_id": "q4", "text": "4 + 1?"}, {"query_id": "q5", "text": "5 + 1?"}]
    assert gold.scores.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert set(exchange.replies("test")[0]) == {"query_id", "replies", "answers"}


def test_without_prices_a_cost_is_a_number_of_calls(tmp_path):
    exchange, gold = written(tmp_path)
    assert exchange.pool["mean_costs"] == [1.0, 1.0]
    assert gold.costs.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_with_prices_a_cost_is_in_dollars(tmp_path):
    exchange, gold = written(tmp_path, prices=True)
    assert exchange.pool["mean_costs"] == [0.25, 2.0]
    assert gold.costs.tolist() == [[0.25, 2.0], [0.25, 2.0]]


def test_the_test_side_survives_saving(tmp_path):
    _, gold = written(tmp_path)
    gold.save(tmp_path / "gold.npz")
    again = Gold.load(tmp_path / "gold.npz")
    assert (again.members, again.query_ids) == (("weak", "strong"), ("q4", "q5"))
    assert again.scores.tolist() == gold.scores.tolist()


GOLD = Gold(
    members=("a", "b"),
    query_ids=("q0", "q1"),
    scores=np.array([[1.0, 0.0], [0.0, 1.0]]),
    costs=np.array([[1.0, 10.0], [2.0, 20.0]]),
)


def choice(query_id: str, winner: str, *calls: str) -> dict:
    return {"system": "s", "query_id": query_id, "winner": winner, "calls": list(calls or (winner,))}


def test_a_choice_scores_as_its_winner_and_costs_all_its_calls():
    (outcome,) = outcomes_of([choice("q1", "b", "a", "b"), choice("q0", "b")], GOLD)
    assert outcome.score.tolist() == [0.0, 1.0]
    assert outcome.cost.tolist() == [10.0, 22.0]


def test_every_test_query_is_chosen_for_once():
    with pytest.raises(ValueError, match="s left out 1 test queries"):
        outcomes_of([choice("q0", "a")], GOLD)
    with pytest.raises(ValueError, match="s chose twice for q0"):
        outcomes_of([choice("q0", "a"), choice("q0", "b")], GOLD)


def test_a_query_of_several_splits_counts_once_by_its_mean():
    other = Gold(members=GOLD.members, query_ids=("q1", "q2"), scores=GOLD.scores, costs=GOLD.costs)
    first = Outcome(name="s", score=np.array([1.0, 0.0]), cost=np.array([1.0, 2.0]))
    second = Outcome(name="s", score=np.array([1.0, 1.0]), cost=np.array([4.0, 5.0]))
    (found,) = over_splits([[first], [second]], [GOLD, other])
    assert found.score.tolist() == [1.0, 0.5, 1.0]
    assert found.cost.tolist() == [1.0, 3.0, 5.0]
    with pytest.raises(ValueError, match="Splits have other systems: s, t"):
        over_splits([[first], [Outcome(name="t", score=second.score, cost=second.cost)]], [GOLD, other])


def outcome(name: str, cost: float, score: list[float]) -> Outcome:
    return Outcome(name=name, score=np.array(score), cost=np.full(len(score), cost))


ONE, TWO, FOUR = (
    outcome("one", 1.0, [0.0, 1.0]),
    outcome("two", 2.0, [1.0, 1.0]),
    outcome("four", 4.0, [0.0, 0.0]),
)


def test_at_the_cost_of_a_setting_it_is_that_setting():
    assert at_equal_cost([FOUR, ONE, TWO], 2.0) is TWO


def test_between_two_settings_it_is_a_mixture_even_with_a_worse_one():
    mixed = at_equal_cost([FOUR, ONE, TWO], 2.5)
    # A quarter of the way from 2 to 4: 0.75 * 1 + 0.25 * 0.
    assert mixed.score.tolist() == [0.75, 0.75]
    assert mixed.mean_cost == pytest.approx(2.5)
    assert mixed.name == "75 % two, 25 % four"


def test_above_all_settings_it_is_the_dearest_and_below_them_an_error():
    assert at_equal_cost([ONE, TWO], 8.0) is TWO
    with pytest.raises(ValueError, match="costs 1, more than 0.5"):
        at_equal_cost([ONE, TWO], 0.5)


def test_verdicts_follow_the_interval_of_the_difference():
    n, bootstrap = 400, Bootstrap(400, seed=0)
    right, wrong = outcome("right", 1.0, [1.0] * n), outcome("wrong", 1.0, [0.0] * n)
    even = outcome("even", 1.0, [1.0, 0.0] * (n // 2))
    other = outcome("other", 1.0, [0.0, 1.0] * (n // 2))
    assert Difference.between(right, wrong, bootstrap).verdict == "ahead"
    assert Difference.between(wrong, right, bootstrap).verdict == "**behind**"
    assert Difference.between(even, other, bootstrap).verdict == "no difference shown"


def test_a_peer_that_is_not_passed_is_named():
    right, wrong = [1.0] * 50, [0.0] * 50
    ours = [outcome("ours: one", 1.0, right)]
    peers = [outcome("equal", 1.0, right), outcome("worse", 1.0, wrong)]
    line = Comparison(ours={"ours": ours}, peers=peers).verdict("here")
    assert line == (
        "- accuracy at equal cost, here: ahead of 1 of 2; **not ahead of** equal "
        "(+0.0 [+0.0, +0.0], no difference shown)"
    )


def process(title: str, package: str, decision_s: list[float], encoder_s: list[float]) -> Measured:
    system = {"training_s": 2.0, "choice_s": [], "decision_s": decision_s, "encoder_s": encoder_s}
    figures = {"import_s": 1.0, "peak_mib": 100.0, "systems": {"s": system}}
    return Measured(title=title, package=package, systems=("s",), folders=[Path()], figures=figures)


def test_times_are_told_with_and_without_the_encoder_and_misses_are_named():
    ours = process("ours", "ours", [0.002, 0.002], [])
    quicker, slower = (
        process("quick", "q", [0.001, 0.001], []),
        process("slow", "s", [0.03, 0.03], [0.02, 0.02]),
    )
    times = times_of([ours, quicker, slower], {"ours": 10.0, "q": 5.0, "s": 20.0})
    assert times[2].p50_ms == pytest.approx(30.0)
    assert times[2].without_encoder_ms == pytest.approx(10.0)
    lines = list(verdicts(times))
    assert lines[0] == (
        "- decision latency, p50: ahead of 1 of 2; **not ahead of** quick: s (1.00 ms, ours 2.00 ms)"
    )
    assert lines[-1] == ("- installed size: ahead of 1 of 2; **not ahead of** quick: s (5 MiB, ours 10 MiB)")


def test_a_failure_is_read_with_its_reason(tmp_path):
    (tmp_path / "failed.txt").write_text("ImportError: no", encoding="utf-8")
    measured = Measured.read("title", "name", ("s",), [tmp_path])
    assert measured.failure == "ImportError: no"
    assert measured.outcomes([GOLD]) == []


def left_by_a_script(folder: Path, gold: Gold, winners: dict[str, str]) -> None:
    """Choices and figures of systems that always call one member."""
    folder.mkdir()
    lines = [
        json.dumps({"system": name, "query_id": query_id, "winner": winner, "calls": [winner]})
        for name, winner in winners.items()
        for query_id in gold.query_ids
    ]
    (folder / "choices.jsonl").write_text("\n".join(lines), encoding="utf-8")
    system = {"training_s": 2.0, "choice_s": [0.001, 0.002], "decision_s": [0.001, 0.002]}
    figures = {"import_s": 1.0, "peak_mib": 100.0, "systems": dict.fromkeys(winners, system)}
    (folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


def test_the_page_has_both_tables_the_misses_and_what_was_skipped(tmp_path):
    systems = {
        "ours": ("ours", {"lexical selectllm:1": "a", "lexical selectllm:8": "b"}),
        "llmrouter": ("LLMRouter", {"kNN": "b"}),
        "langchain": ("LangChain", {"RunnableParallel + Counter": "b"}),
    }
    measured = []
    for name, (title, winners) in systems.items():
        left_by_a_script(tmp_path / name, GOLD, winners)
        measured.append(Measured.read(title, name, tuple(winners), [tmp_path / name]))
    (tmp_path / "failed.txt").write_text("ImportError: no", encoding="utf-8")
    measured.append(Measured.read("LiteLLM", "litellm", ("complexity",), [tmp_path]))
    text = page(
        (measured, [GOLD]),
        (measured, [GOLD]),
        sizes=dict.fromkeys(systems, 5.0),
        versions={"llmrouter-lib": "0.4.0"},
        skipped={"RouteLLM": "no wheel"},
        busy=True,
    )
    assert "Versions: llmrouter-lib 0.4.0." in text
    assert "busy machine" in text
    assert "| **ours: lexical selectllm:1** | 1.50 | 50.0 |" in text
    # Always b costs 15 in the mean, as our second setting does: no difference.
    assert "| LLMRouter: kNN | 1.5e+04 | 50.0 | 50.0 | +0.0 [+0.0, +0.0] no difference shown |" in text
    assert "decision latency, p50: ahead of 0 of 1; **not ahead of** LLMRouter: kNN (1.50 ms" in text
    assert "`selectllm:8`: **not ahead of** RunnableParallel + Counter" in text
    assert "Skipped: RouteLLM. Reason: `no wheel`" in text
    assert "Skipped: LiteLLM: complexity. Reason: `ImportError: no`" in text


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_package_has_a_script_and_pinned_requirements(package):
    assert (SCRIPTS / package.script).is_file()
    lines = (SCRIPTS / f"{package.name}.txt").read_text(encoding="utf-8").split()
    assert lines
    assert all("==" in line for line in lines)


def test_our_budgets_span_the_prices_and_one_buys_nothing():
    names = budgets([0.001, 0.004, 0.01])
    amounts = [float(name.removeprefix("lexical selectllm:").removesuffix("usd")) for name in names]
    assert amounts == sorted(set(amounts))
    assert amounts[0] < 0.001 == amounts[1]
    assert amounts[-1] == pytest.approx(0.015)


def test_scripts_of_other_packages_know_nothing_of_ours():
    others = [script for script in SCRIPTS.glob("*.py") if script.name != "run_ours.py"]
    assert len(others) > 5
    for script in others:
        assert "selectllm" not in script.read_text(encoding="utf-8"), script.name

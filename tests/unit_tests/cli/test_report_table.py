"""The table of an evaluation: equal points on one line, and a notice where one call was as good."""

from langchain_selectllm.cli.report_table import one_call_notice, print_report
from langchain_selectllm.evaluation.report import Report, SystemReport, Versus


def system(name, accuracy, calls, cost_usd=None, **versus):
    return SystemReport(
        name=name,
        accuracy=accuracy,
        accuracy_ci95=(accuracy - 0.05, accuracy + 0.05),
        calls=calls,
        cost_usd=cost_usd,
        latency_parallel_s=None,
        latency_total_s=None,
        versus={control: Versus(control, *figures) for control, figures in versus.items()},
    )


def report(*systems):
    metrics = dict.fromkeys(("auroc_macro", "brier", "brier_prior", "ece"), 0.25)
    return Report(
        members=("a", "b"),
        n_queries=100,
        n_not_replayed=0,
        n_training_queries=0,
        seed=0,
        systems=systems,
        member_accuracy={},
        classifier=metrics,
        per_category={},
        fixed_set_search="complete",
        decision_s=0.001,
    )


def test_neighbours_with_equal_figures_share_a_line(capsys):
    print_report(
        report(
            system("single_best", 0.6, 1),
            system("selectllm:2", 0.7, 2, single_best=(0.1, (0.02, 0.18))),
            system("selectllm:3", 0.7, 2, single_best=(0.1, (0.02, 0.18))),
            system("selectllm:4", 0.7, 2.5, single_best=(-0.1, (-0.2, 0.1))),
            system("fixed_best:2", 0.7, 2, single_best=(0.1, (0.02, 0.18))),
        )
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "selectllm:2, 3 70.0 [65.0, 75.0] 2.00 +10.0 ▲" in lines
    assert "selectllm:4 70.0 [65.0, 75.0] 2.50 -10.0 ~" in lines
    assert "fixed_best:2 70.0 [65.0, 75.0] 2.00 +10.0 ▲" in lines


def test_three_or_more_sizes_of_equal_figures_are_written_by_their_ends(capsys):
    print_report(report(*(system(f"selectllm:{size}", 0.7, 2) for size in (1, 2, 3, 4, 6))))
    assert "selectllm:1 to 4, 6 " in capsys.readouterr().out


def test_an_unknown_cost_is_a_dash(capsys):
    print_report(report(system("selectllm:2", 0.7, 2, cost_usd=0.5), system("fixed_best:2", 0.7, 2)))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "selectllm:2 70.0 [65.0, 75.0] 2.00 0.5" in lines
    assert "fixed_best:2 70.0 [65.0, 75.0] 2.00 -" in lines


def test_the_verdict_says_when_one_call_was_as_good():
    three = system("selectllm:3", 0.7, 2.4)
    assert one_call_notice(report(three, system("max_conf:1", 0.72, 1), system("learned:1", 0.71, 1))) == (
        "One call per query was as good here: max_conf:1 answers 72.0 % correctly with 1.00 calls, selectllm:3 70.0 % "
        "with 2.40."
    )
    assert one_call_notice(report(three, system("max_conf:1", 0.69, 1))) == ""
    # The oracle and the single best member do not look at the query.
    assert one_call_notice(report(three, system("oracle", 0.9, 1), system("single_best", 0.7, 1))) == ""

"""An evaluation as a table of at most 80 columns, and its verdict in words."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.table import Table

from langchain_selectllm.cli.console import out
from langchain_selectllm.evaluation.report import Report, SystemReport, Versus
from langchain_selectllm.selection.policy_names import REPEATED_POLICIES, in_runs

_CONTROLS = ("oracle", "single_best", "all_members", "fixed_best", *REPEATED_POLICIES)
_QUERY_AWARE = ("selectllm", "adaptive", "learned", "weighted_max_conf", "max_conf", "labelled_max_conf")
_MARKS = {"better": "▲", "worse": "▼", "no difference shown": "~"}
_NAME_WIDTH = len("selectllm:0.000503usd")
_DIFFERENCES = {"single_best": "Δ single", "all_members": "Δ all", "fixed_best": "Δ fixed"}
_LEGEND = "Δ: points above the control; ▲ better, ▼ worse, ~ no difference shown (95 %)."


def print_report(report: Report, *, everything: bool = False) -> None:
    """Prints the table of systems, the classifier's metrics, and the verdict.

    Args:
        report: The evaluation.
        everything: Whether all systems are printed, not only the recommended points and the controls.
    """
    shown = report.systems
    if not everything:
        shown = recommended_and_controls(report)
    out.print(_table(report, shown))
    out.print(_LEGEND, highlight=False)
    if len(shown) < len(report.systems):
        out.print(f"{len(report.systems) - len(shown)} further systems: --all.", highlight=False)
    metrics = report.classifier
    out.print(
        f"Classifier: macro AUROC {figure(metrics['auroc_macro'])}, Brier {figure(metrics['brier'])} "
        f"(prior only {figure(metrics['brier_prior'])}), ECE {figure(metrics['ece'])}; "
        f"{1000 * report.decision_s:.2f} ms per decision.",
        highlight=False,
    )
    out.print(
        f"Fixed sets: {report.fixed_set_search} search on training outcomes. Intervals: 95 % bootstrap over "
        f"queries, seed {report.seed}. {_left_out(report)}",
        highlight=False,
    )
    out.print(f"Verdict: {report.verdict} {one_call_notice(report)}".strip(), style="bold", highlight=False)


def recommended_and_controls(report: Report) -> tuple[SystemReport, ...]:
    """Returns the systems of the headline's family, and the controls; all systems without a headline."""
    if report.headline is None:
        return report.systems
    families = (family_of(report.headline), *_CONTROLS)
    return tuple(system for system in report.systems if family_of(system) in families)


def one_call_notice(report: Report) -> str:
    """Returns a sentence if one call per query was at least as accurate as the headline system, else ""."""
    headline, best = report.headline, None
    for system in report.systems:
        if family_of(system) not in _QUERY_AWARE or system.calls > 1.0:
            continue
        if best is None or system.accuracy > best.accuracy:
            best = system
    if headline is None or best is None or headline.calls <= 1.0 or best.accuracy < headline.accuracy:
        return ""
    return (
        f"One call per query was as good here: {best.name} answers {100 * best.accuracy:.1f} % correctly "
        f"with {best.calls:.2f} calls, {headline.name} {100 * headline.accuracy:.1f} % "
        f"with {headline.calls:.2f}."
    )


def family_of(system: SystemReport) -> str:
    """Returns the name of a system without its size or budget."""
    return system.name.partition(":")[0]


def figure(value: float | None, spec: str = ".3f") -> str:
    """Returns the formatted figure; a dash where it is unknown."""
    if value is None:
        return "-"
    return format(value, spec)


def _table(report: Report, systems: Sequence[SystemReport]) -> Table:
    table = Table(
        title=f"{report.n_queries:,} queries, {len(report.members)} members",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    with_cost = any(system.cost_usd is not None for system in systems)
    table.add_column("system", min_width=_NAME_WIDTH)
    titles = ["% correct [95 %]", "calls"]
    if with_cost:
        titles.append("usd")
    titles += [_DIFFERENCES[control] for control in _versus(with_cost=with_cost)]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for cells in _merged(_row(system, with_cost=with_cost) for system in systems):
        table.add_row(*cells)
    return table


def _versus(*, with_cost: bool) -> list[str]:
    """Returns the controls with a column of differences; with costs there is no room for a third one."""
    if with_cost:
        return ["single_best", "fixed_best"]
    return ["single_best", "all_members", "fixed_best"]


def _row(system: SystemReport, *, with_cost: bool) -> list[str]:
    low, high = (100 * bound for bound in system.accuracy_ci95)
    cells = [system.name, f"{100 * system.accuracy:.1f} [{low:.1f}, {high:.1f}]", f"{system.calls:.2f}"]
    if with_cost:
        cells.append(figure(system.cost_usd, ".3g"))
    return cells + [_difference(system.versus.get(control)) for control in _versus(with_cost=with_cost)]


def _merged(rows: Iterable[list[str]]) -> list[list[str]]:
    """Returns the rows, neighbouring sizes with equal figures on one line: "selectllm:4, 5"."""
    merged: list[list[str]] = []
    for key, group in groupby(rows, key=_family_and_figures):
        names = [row[0] for row in group]
        sizes = [int(name.partition(":")[2]) for name in names if name.partition(":")[2].isdecimal()]
        name = names[0] if len(names) == 1 else f"{key[0]}:{in_runs(sizes)}"
        merged.append([name, *key[1:]])
    return merged


def _family_and_figures(row: Sequence[str]) -> tuple[str, ...]:
    """What rows on one line have in common; the whole row where the name has no size."""
    family, _, size = row[0].partition(":")
    return (family if size.isdecimal() else row[0], *row[1:])


def _difference(versus: Versus | None) -> str:
    if versus is None:
        return ""
    return f"{100 * versus.difference:+.1f} {_MARKS[versus.verdict]}"


def _left_out(report: Report) -> str:
    parts = []
    if report.n_not_replayed:
        parts.append(
            f"Queries left out because some member was not observed on them: {report.n_not_replayed:,}."
        )
    if report.n_training_queries:
        parts.append(f"TRAINING queries: {report.n_training_queries:,}; no evidence.")
    if report.not_evaluated:
        parts.append(report.not_evaluated)
    return " ".join(parts)

"""First question of the page: is it worth it? Accuracy of every system over calls, cost and latency."""

from typing import Any

from markupsafe import Markup

from langchain_selectllm.evaluation.page.figure import DataTable, Figure, Section
from langchain_selectllm.evaluation.page.numbers import Numbers, Path, join_sentences
from langchain_selectllm.evaluation.page.systems_chart import price_chart, system_points

_PRICES = (
    ("calls", "calls per query", 1.0, ".2f"),
    ("cost_usd", "cost per 1,000 queries (USD)", 1000.0, ".3g"),
    ("latency_parallel_s", "parallel latency per query (s)", 1.0, ".3g"),
)


def systems_section(numbers: Numbers) -> Section:
    """Verdict, operating point, and one chart per known price."""
    report = numbers.report
    figures = []
    for price, title, factor, spec in _PRICES:
        known = [system for system in report["systems"] if system[price] is not None]
        if known:
            figures.append(_price_figure(numbers, known, price, title, factor, spec))
    return Section(name="worth", question="Is it worth it?", answer=_answer(numbers), figures=figures)


def _answer(numbers: Numbers) -> list[Markup | str]:
    report = numbers.report
    paragraphs: list[Markup | str] = [report["verdict"]]
    if report["figures"] is None:
        return paragraphs
    index = system_indices(report)
    compared = (report["headline"], "single_best", "all_members", _consistency(report), "oracle")
    evaluated = [name for name in dict.fromkeys(compared) if name in index]
    facts = [_accuracy_in_words(numbers, name, ("systems", index[name])) for name in evaluated]
    paragraphs.append(
        join_sentences(
            [
                Markup("Accuracy on {} queries:").format(numbers.count("n_queries")),
                Markup("; ").join(facts) + Markup("."),
            ]
        )
    )
    paragraphs.append(_operating_point(numbers))
    return paragraphs


def _accuracy_in_words(numbers: Numbers, name: str, at: Path) -> Markup:
    fact = Markup("<strong>{}</strong> {} {}").format(
        name, numbers.percent(*at, "accuracy"), numbers.interval(*at, "accuracy_ci95")
    )
    if name == "oracle":
        # Nobody knows in advance whom it would call.
        return fact + Markup(" (right when any member is)")
    return fact + Markup(" with {} calls per query").format(numbers.decimal(*at, "calls"))


def _operating_point(numbers: Numbers) -> Markup:
    chosen = numbers.value("figures", "recommended")
    at = ("systems", system_indices(numbers.report)[chosen["system"]])
    if chosen["system"] == chosen["most_accurate"]:
        return Markup(
            "Recommended operating point: <strong>{}</strong> ({} at {} calls), the most accurate system; "
            "no cheaper one is shown (95 %) to be at most {} below it. It was chosen on these queries; "
            "confirm it on others."
        ).format(
            chosen["system"],
            numbers.percent(*at, "accuracy"),
            numbers.decimal(*at, "calls"),
            numbers.distance("figures", "recommended", "margin"),
        )
    cheap = {"cost_usd": "lowest cost", "calls": "fewest calls"}[chosen["price"]]
    return Markup(
        "Recommended operating point: <strong>{}</strong> ({} at {} calls), the system with the {} that is "
        "shown (95 %) to be at most {} below the most accurate one, {}. It was chosen on these queries; "
        "confirm it on others."
    ).format(
        chosen["system"],
        numbers.percent(*at, "accuracy"),
        numbers.decimal(*at, "calls"),
        cheap,
        numbers.distance("figures", "recommended", "margin"),
        chosen["most_accurate"],
    )


def system_indices(report: Any) -> dict[str, int]:
    """Place of each system in the report's list."""
    return {system["name"]: i for i, system in enumerate(report["systems"])}


def _consistency(report: Any) -> str:
    for system in report["systems"]:
        if system["name"].startswith("self_consistency"):
            return str(system["name"])
    return ""


def _price_figure(
    numbers: Numbers, systems: list[dict[str, Any]], price: str, title: str, factor: float, spec: str
) -> Figure:
    word = title.partition(" per ")[0]
    values = system_points(numbers.report, systems, price, factor)
    return Figure(
        name=f"accuracy-over-{price.replace('_', '-')}",
        title=f"Accuracy over {word}",
        caption=f"Mean accuracy of each system over its mean {word}, with 95 % bootstrap intervals. The "
        "dashed line is the frontier: systems than which none is both cheaper and at least as accurate. Up "
        "and to the left is better. Other by query: further policies that choose members by query. Controls: "
        "the same members for every query, random members, several samples of the single best "
        "(self-consistency). The oracle is right when any member is; the dotted "
        "line is its accuracy.",
        spec=price_chart(values, title=title, number=spec),
        table=_table(numbers, systems, price, title),
    )


def _table(numbers: Numbers, systems: list[dict[str, Any]], price: str, title: str) -> DataTable:
    index = system_indices(numbers.report)
    write = {
        "calls": numbers.decimal,
        "cost_usd": numbers.usd_per_1000,
        "latency_parallel_s": numbers.seconds,
    }
    rows = []
    for system in systems:
        at = ("systems", index[system["name"]])
        versus = Markup("")
        if "fixed_best" in system["versus"]:
            versus = Markup("{} {}").format(
                numbers.points(*at, "versus", "fixed_best", "difference"),
                numbers.interval(*at, "versus", "fixed_best", "ci95", sign=True),
            )
        rows.append(
            [
                system["name"],
                Markup("{} {}").format(
                    numbers.percent(*at, "accuracy"), numbers.interval(*at, "accuracy_ci95")
                ),
                write[price](*at, price),
                versus,
            ]
        )
    columns = ["system", "accuracy (%) [95 %]", title, "against the fixed set of as many calls (points)"]
    return DataTable(columns=columns, rows=rows)

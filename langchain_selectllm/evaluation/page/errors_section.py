"""Third question of the page: where does it fail? Errors by cause and by category, and single queries."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from langchain_selectllm.evaluation.page.figure import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    DataTable,
    Figure,
    Section,
    altair,
    percent_tooltips,
    specification,
)
from langchain_selectllm.evaluation.page.forest import difference_row, forest
from langchain_selectllm.evaluation.page.numbers import Numbers, Path

CAUSES = {
    "nobody_right": "nobody right",
    "not_called": "right member not called",
    "outvoted": "right answer outvoted",
    "unreadable": "unreadable",
}
"""Causes of errors in words, in the order of the report."""
_COLOURS = (GREY, BLUE, ORANGE, PURPLE)
_AT = ("figures", "errors")
_CATEGORIES_AT = ("figures", "categories")
_WORST = 3


def errors_section(numbers: Numbers) -> Section:
    """Split of the errors, differences by category."""
    figures = [_split(numbers)]
    if numbers.value(*_CATEGORIES_AT):
        figures += [_by_category(numbers), _against_controls(numbers)]
    return Section(name="failures", question="Where does it fail?", answer=_answer(numbers), figures=figures)


def _answer(numbers: Numbers) -> list[Markup | str]:
    parts = []
    for cause, words in CAUSES.items():
        parts.append(Markup("{} {}").format(words, numbers.percent(*_AT, cause)))
    paragraphs: list[Markup | str] = [
        Markup("{} of the queries are answered wrongly: {}.").format(
            numbers.percent(*_AT, "total"), Markup(", ").join(parts)
        ),
        Markup(
            "All but the first are the gap to the oracle, {}: some member of the pool is right there. Each "
            "number is rounded on its own."
        ).format(numbers.distance(*_AT, "oracle_gap")),
    ]
    beaten = numbers.value(*_AT, "vote_beats_members")
    if beaten < 0:
        paragraphs.append(
            Markup("The vote beats every single member by {} on average, which these sums include.").format(
                numbers.points(*_AT, "vote_beats_members")
            )
        )
    worst = _worst_categories(numbers)
    if worst:
        paragraphs.append(Markup("Lowest accuracy: {}.").format(Markup("; ").join(worst)))
    return paragraphs


def _worst_categories(numbers: Numbers) -> list[Markup]:
    headline, categories = numbers.report["headline"], numbers.value(*_CATEGORIES_AT)
    worst = []
    for i in _worst_first(numbers)[:_WORST]:
        at = (*_CATEGORIES_AT, i)
        worst.append(
            Markup("<strong>{}</strong> {} {} of {} queries").format(
                categories[i]["category"],
                numbers.percent(*at, "systems", headline, "accuracy"),
                numbers.interval(*at, "systems", headline, "ci95"),
                numbers.count(*at, "n"),
            )
        )
    return worst


def _worst_first(numbers: Numbers) -> list[int]:
    """Places of the categories, the one with the lowest accuracy of the headline system first."""
    headline, categories = numbers.report["headline"], numbers.value(*_CATEGORIES_AT)
    return sorted(range(len(categories)), key=lambda i: categories[i]["systems"][headline]["accuracy"])


def _split(numbers: Numbers) -> Figure:
    values = _cause_values("all queries", numbers.value(*_AT))
    rows: list[list[Markup | str]] = []
    for cause, words in CAUSES.items():
        rows.append([words, numbers.percent(*_AT, cause)])
    rows.append(["vote better than every member", numbers.points(*_AT, "vote_beats_members")])
    rows.append(["sum: all errors", numbers.percent(*_AT, "total")])
    rows.append(["gap to the oracle", numbers.percent(*_AT, "oracle_gap")])
    return Figure(
        name="errors-by-cause",
        title="Errors by cause",
        caption="Share of queries that the headline system answers wrongly, by cause. Nobody right: no "
        "member of the pool is. Not called: a right member was not called. Outvoted: a called member was "
        "right and lost the vote. Unreadable: no called member gave a readable answer, though some member is "
        "right. The causes sum to all errors.",
        spec=_stacked(values, label=None, description="Errors of the headline system by cause.", height=70),
        table=DataTable(columns=["cause", "share of queries (%)"], rows=rows),
    )


def _by_category(numbers: Numbers) -> Figure:
    categories = numbers.value(*_CATEGORIES_AT)
    rows = []
    for i, one in enumerate(categories):
        at = (*_CATEGORIES_AT, i)
        shares = [numbers.percent(*at, "errors", cause) for cause in CAUSES]
        rows.append([one["category"], numbers.count(*at, "n"), *shares])
    values: list[dict[str, Any]] = []
    for i in _worst_first(numbers):
        values += _cause_values(categories[i]["category"], categories[i]["errors"])
    return Figure(
        name="errors-by-category",
        title="Errors by category and cause",
        caption="Share of each category's queries that the headline system answers wrongly, by cause; "
        "worst category first.",
        spec=_stacked(
            values,
            label="category",
            description="Errors by category and cause.",
            height=max(24 * len(categories), 60),
        ),
        table=DataTable(columns=["category", "queries", *map("{} (%)".format, CAUSES.values())], rows=rows),
    )


def _cause_values(category: str, errors: dict[str, float]) -> list[dict[str, Any]]:
    values = []
    for order, (cause, words) in enumerate(CAUSES.items()):
        values.append({"category": category, "cause": words, "share": errors[cause], "order": order})
    return values


def _stacked(
    values: list[dict[str, Any]], *, label: str | None, description: str, height: int
) -> dict[str, Any]:
    """Specification of stacked bars, one per category in the order of the values."""
    alt = altair()
    colours = alt.Scale(domain=list(CAUSES.values()), range=list(_COLOURS))
    axis = alt.Axis(labels=label is not None, ticks=label is not None)
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            y=alt.Y("category:N", sort=None, title=label, axis=axis),
            x=alt.X("share:Q", stack="zero", title="share of queries (%)", axis=alt.Axis(format=".1~%")),
            color=alt.Color("cause:N", title=None, scale=colours, sort=list(CAUSES.values())),
            order="order:O",
            tooltip=["category:N", "cause:N", *percent_tooltips("share")],
        )
    )
    return specification(chart, description=description, height=height)


def _against_controls(numbers: Numbers) -> Figure:
    headline, categories = numbers.report["headline"], numbers.value(*_CATEGORIES_AT)
    controls = _controls(categories[0]["versus"])
    control = controls[0]
    values, rows = [], []
    for i, one in enumerate(categories):
        at = (*_CATEGORIES_AT, i)
        values.append(difference_row(one["category"], one["versus"][control]))
        differences = [_difference(numbers, (*at, "versus", name)) for name in controls]
        rows.append([one["category"], numbers.count(*at, "n"), *differences])
    values.sort(key=lambda value: value["difference"])
    return Figure(
        name="gain-by-category",
        title=f"Gain over {control} by category",
        caption=f"Accuracy of {headline} minus that of {control}, with 95 % intervals. Small categories "
        "have wide intervals, and of many categories some differ by chance.",
        spec=forest(
            values,
            title="difference (points)",
            label="category",
            description=f"Differences in accuracy between {headline} and {control} by category.",
        ),
        table=DataTable(columns=["category", "queries", *map("to {} (points)".format, controls)], rows=rows),
    )


def _controls(versus: Mapping[str, Any]) -> list[str]:
    """Names of the controls, the fixed set of as many calls first."""
    controls = set(versus) - {"oracle"}
    return sorted(controls, key=lambda name: (not name.startswith("fixed_best"), name))


def _difference(numbers: Numbers, at: Path) -> Markup:
    return Markup("{} {}").format(numbers.points(*at, "difference"), numbers.interval(*at, "ci95", sign=True))

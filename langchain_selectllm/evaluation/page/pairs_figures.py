"""Charts of members in pairs: agreement of answers, and correlation of errors."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from langchain_selectllm.evaluation.page.figure import DataTable, Figure, altair, short_names, specification
from langchain_selectllm.evaluation.page.numbers import Numbers

_AT = ("figures", "members")
_MOST_MEMBERS_WITH_NUMBERS = 8
"""Beyond that many members numbers would not fit the cells of a narrow page."""

_NUMBER_WIDTH = 32
"""Width in pixels of a number with the space around it."""


def pairs_figures(numbers: Numbers) -> list[Figure]:
    """Agreement where replies are recorded, and correlation of errors; nothing for a pool of one."""
    if len(numbers.report["members"]) == 1:
        return []
    figures = []
    if numbers.value(*_AT, "answer_agreement") is not None:
        figures.append(_agreement(numbers))
    return [*figures, _correlation(numbers)]


def most_alike(numbers: Numbers) -> Markup | None:
    """The two members that give the same answer most often, in words; None where no pair is recorded."""
    pairs = numbers.value(*_AT, "answer_agreement") or ()
    known = [i for i, pair in enumerate(pairs) if pair["share"] is not None]
    if not known:
        return None
    i = max(known, key=lambda i: pairs[i]["share"])
    first, second = pairs[i]["members"]
    at = (*_AT, "answer_agreement", i)
    return Markup("Most alike: {} and {} give the same answer on {} of {} queries that both answer.").format(
        first, second, numbers.percent(*at, "share"), numbers.count(*at, "n")
    )


def _agreement(numbers: Numbers) -> Figure:
    labels = short_names(numbers.report["members"])
    values, rows = [], []
    for i, pair in enumerate(numbers.value(*_AT, "answer_agreement")):
        first, second = (labels[name] for name in pair["members"])
        at = (*_AT, "answer_agreement", i)
        rows.append([first, second, numbers.percent(*at, "share"), numbers.count(*at, "n")])
        if pair["share"] is not None:
            values.append({"first": first, "second": second, "value": pair["share"], "n": pair["n"]})
    return Figure(
        name="answer-agreement",
        title="Answers in common",
        caption="Share of queries on which two members give the same answer, right or wrong, of the queries "
        "that both answer readably. Members that nearly always agree can stand in for each other.",
        spec=_heat_map(
            values,
            list(labels.values()),
            colours=["#f2f2f2", "#3b7dd8"],
            domain=[0, 1],
            title="same answer (% of queries)",
            number=".0%",
            description="Share of queries with the same answer per pair of members.",
            counts=[altair().Tooltip("n:Q", title="queries")],
        ),
        table=DataTable(
            columns=["member", "other member", "same answer (% of queries)", "queries"], rows=rows
        ),
    )


def _correlation(numbers: Numbers) -> Figure:
    labels = list(short_names(numbers.report["members"]).values())
    matrix = numbers.value(*_AT, "error_correlation")
    values, rows = [], []
    for i, first in enumerate(labels):
        for j in range(i + 1, len(labels)):
            rows.append([first, labels[j], numbers.decimal(*_AT, "error_correlation", i, j)])
            if matrix[i][j] is not None:
                values.append({"first": first, "second": labels[j], "value": matrix[i][j]})
    return Figure(
        name="error-correlation",
        title="Errors in common",
        caption="Pearson correlation of the members' errors (no unit, -1 to 1). Members that err together "
        "add little to each other's vote; 0 means independent errors.",
        spec=_heat_map(
            values,
            labels,
            colours=["#8fb7ea", "#f2f2f2", "#f0a35e"],
            domain=[-1, 0, 1],
            title="correlation of errors (-1 to 1)",
            number=".2f",
            description="Correlation of errors per pair of members.",
        ),
        table=DataTable(columns=["member", "other member", "correlation (-1 to 1)"], rows=rows),
    )


def _heat_map(
    values: list[dict[str, Any]],
    labels: Sequence[str],
    *,
    colours: Sequence[str],
    domain: Sequence[float],
    title: str,
    number: str,
    description: str,
    counts: Sequence[Any] = (),
) -> dict[str, Any]:
    """Half a square of cells, one per pair.

    Args:
        values: Rows with `first`, `second` and `value`.
        labels: Members in pool order.
        colours: Colours of the scale.
        domain: Values of these colours.
        title: Title of the scale, with its unit.
        number: Format of a value.
        description: Text alternative.
        counts: Further tooltips.
    """
    alt = altair()
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "first:N",
            sort=labels[:-1],
            title="member",
            axis=alt.Axis(labelAngle=-90, labelSeparation=0),
        ),
        y=alt.Y("second:N", sort=labels[1:], title="member"),
    )
    colour = alt.Color(
        "value:Q",
        title=title,
        scale=alt.Scale(domain=domain, range=colours),
        legend=alt.Legend(title=title.replace(" (", "\n(").split("\n"), format=number.replace("2", "0")),
    )
    tooltip = ["first:N", "second:N", alt.Tooltip("value:Q", format=number, title=title), *counts]
    chart: Any = base.mark_rect().encode(color=colour, tooltip=tooltip)
    if len(labels) <= _MOST_MEMBERS_WITH_NUMBERS:
        # Of a cell that is narrower than its number only the colour is shown.
        fits = alt.ExprRef(f"width < {_NUMBER_WIDTH * len(labels)} ? 0 : 1")
        numbers = base.mark_text(color="#111", fontSize=11, opacity=fits)
        text = numbers.encode(text=alt.Text("value:Q", format=number))
        chart = alt.layer(chart, text)
    return specification(chart, description=description, height=max(26 * len(labels), 120))

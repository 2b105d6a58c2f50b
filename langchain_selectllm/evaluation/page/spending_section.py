"""Fifth question of the page: what does it cost, how long do I wait?"""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from langchain_selectllm.evaluation.page.figure import (
    BLUE,
    GREEN,
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
from langchain_selectllm.evaluation.page.numbers import Numbers
from langchain_selectllm.evaluation.page.systems_section import system_indices

_AT = ("figures", "distributions")
_QUANTILES = ("mean", "p5", "p25", "p50", "p75", "p95")


def spending_section(numbers: Numbers) -> Section:
    """Calls, rounds, cost and latency per query."""
    shown = _shown_systems(numbers)
    figures = [_calls(numbers, shown)]
    if numbers.value("figures", "rounds"):
        figures.append(_rounds(numbers))
    figures += _distribution_figures(numbers, shown)
    return Section(
        name="price",
        question="What does it cost, how long do I wait?",
        answer=_answer(numbers, shown),
        figures=figures,
    )


def _shown_systems(numbers: Numbers) -> list[int]:
    """Places of the headline system and its controls in the list of distributions."""
    headline = numbers.report["headline"]
    wanted = {headline}
    versus = numbers.value("systems", system_indices(numbers.report)[headline], "versus")
    for against in versus.values():
        wanted.add(against["control"])
    return [i for i, one in enumerate(numbers.value(*_AT)) if one["system"] in wanted]


def _answer(numbers: Numbers, shown: Sequence[int]) -> list[Markup | str]:
    paragraphs: list[Markup | str] = []
    for i in shown:
        at = (*_AT, i)
        one = numbers.value(*at)
        parts = []
        if one["cost_usd"] is not None:
            parts.append(Markup("{} per 1,000 queries").format(numbers.usd_per_1000(*at, "cost_usd", "mean")))
        if one["latency_parallel_s"] is not None:
            parts.append(
                Markup("answers within {} for half of the queries and within {} for 95 % of them").format(
                    numbers.seconds(*at, "latency_parallel_s", "p50"),
                    numbers.seconds(*at, "latency_parallel_s", "p95"),
                )
            )
        if parts:
            paragraphs.append(
                Markup("<strong>{}</strong>: {}.").format(one["system"], Markup("; ").join(parts))
            )
    if not paragraphs:
        paragraphs.append("Neither cost nor latency was recorded; calls stand for both.")
    rounds = numbers.value("figures", "rounds")
    if len(rounds) > 1:
        paragraphs.append(
            Markup("A second round of calls follows for {} of the queries.").format(
                numbers.percent("figures", "rounds", 1, "share")
            )
        )
    return paragraphs


def _calls(numbers: Numbers, shown: Sequence[int]) -> Figure:
    names, values, rows = [], [], []
    for i in shown:
        one = numbers.value(*_AT, i)
        names.append(one["system"])
        for j, bar in enumerate(one["calls"]):
            at = (*_AT, i, "calls", j)
            values.append({"system": one["system"], **bar})
            rows.append(
                [
                    one["system"],
                    numbers.count(*at, "calls"),
                    numbers.count(*at, "n"),
                    numbers.percent(*at, "share"),
                ]
            )
    return Figure(
        name="calls",
        title="Calls per query",
        caption="Share of queries by number of members called.",
        spec=_calls_chart(values, names),
        table=DataTable(columns=["system", "calls", "queries", "share of queries (%)"], rows=rows),
    )


def _calls_chart(values: list[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    alt = altair()
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            x=alt.X("calls:O", title="calls per query (members)", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("system:N", sort=names),
            y=alt.Y("share:Q", title="share of queries (%)", axis=alt.Axis(format=".0%")),
            color=_colours(names),
            tooltip=["system:N", "calls:O", *percent_tooltips("share")],
        )
    )
    return specification(chart, description="Share of queries by number of calls.", height=240)


def _rounds(numbers: Numbers) -> Figure:
    rounds = numbers.value("figures", "rounds")
    rows = []
    for i in range(len(rounds)):
        at = ("figures", "rounds", i)
        rows.append(
            [
                numbers.count(*at, "round"),
                numbers.count(*at, "n"),
                numbers.percent(*at, "share"),
                numbers.decimal(*at, "calls"),
            ]
        )
    return Figure(
        name="rounds",
        title="Calls by round",
        caption="Mean calls that each round adds, over all queries; a user waits for the slowest member of "
        "each round.",
        spec=_rounds_chart(rounds),
        table=DataTable(
            columns=["round", "queries", "share of queries (%)", "calls per query, mean over all"], rows=rows
        ),
    )


def _rounds_chart(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    alt = altair()
    chart = (
        alt.Chart(alt.Data(values=list(rounds)))
        .mark_bar(color=BLUE)
        .encode(
            y=alt.Y("round:O", title="round"),
            x=alt.X("calls:Q", title="mean calls per query (members)"),
            tooltip=["round:O", "n:Q", alt.Tooltip("calls:Q", format=".2f")],
        )
    )
    return specification(chart, description="Mean calls by round.", height=max(36 * len(rounds), 60))


def _distribution_figures(numbers: Numbers, shown: Sequence[int]) -> list[Figure]:
    figures = []
    kinds = (
        ("cost_usd", "Cost per query", "cost per 1,000 queries (USD)", 1000.0),
        ("latency_parallel_s", "Time to the answer", "parallel latency (s)", 1.0),
        ("latency_total_s", "Time of all calls together", "total latency (s)", 1.0),
    )
    for kind, title, axis, factor in kinds:
        known = [i for i in shown if numbers.value(*_AT, i, kind) is not None]
        if known:
            figures.append(_distribution(numbers, known, kind, title, axis, factor))
    return figures


def _distribution(
    numbers: Numbers, shown: Sequence[int], kind: str, title: str, axis: str, factor: float
) -> Figure:
    write = {"cost_usd": numbers.usd_per_1000}.get(kind, numbers.seconds)
    values, rows = [], []
    for i in shown:
        one = numbers.value(*_AT, i)
        scaled: dict[str, Any] = {"system": one["system"]}
        row = [one["system"]]
        for name in _QUANTILES:
            scaled[name] = factor * one[kind][name]
            row.append(write(*_AT, i, kind, name))
        values.append(scaled)
        rows.append(row)
    return Figure(
        name=kind.replace("_", "-"),
        title=title,
        caption=f"{axis[0].upper()}{axis[1:]}: thin line 5th to 95th percentile of the queries, box 25th "
        "to 75th, tick the median, diamond the mean.",
        spec=_distribution_chart(values, axis),
        table=DataTable(columns=["system", *_QUANTILES], rows=rows),
    )


def _distribution_chart(values: list[dict[str, Any]], axis: str) -> dict[str, Any]:
    """Percentiles and mean, one row per system."""
    alt = altair()
    base = alt.Chart(alt.Data(values=values))
    y = alt.Y("system:N", sort=None, title="system")
    tooltip = ["system:N", *[alt.Tooltip(f"{name}:Q", format=".3g") for name in _QUANTILES]]
    chart = alt.layer(
        base.mark_rule(color=BLUE).encode(y=y, x=alt.X("p5:Q", title=axis), x2="p95:Q"),
        base.mark_bar(color=BLUE, size=14, opacity=0.5).encode(y=y, x="p25:Q", x2="p75:Q"),
        base.mark_tick(color=BLUE, thickness=3, size=20, opacity=1).encode(y=y, x="p50:Q", tooltip=tooltip),
        base.mark_point(color=ORANGE, shape="diamond", filled=True, size=60, opacity=1).encode(
            y=y, x="mean:Q", tooltip=tooltip
        ),
    )
    height = 36 * len(values) + 20
    return specification(chart, description=f"Percentiles of {axis} per system.", height=height)


def _colours(names: Sequence[str]) -> Any:
    alt = altair()
    scale = alt.Scale(domain=list(names), range=[BLUE, ORANGE, GREEN, PURPLE, GREY])
    return alt.Color("system:N", title=None, scale=scale)

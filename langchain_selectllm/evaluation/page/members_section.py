"""Second question of the page: whom do I need? Leave-one-out, usage, smaller pools."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from langchain_selectllm.evaluation.page.figure import (
    BLUE,
    GREY,
    DataTable,
    Figure,
    Section,
    altair,
    percent_tooltips,
    short_names,
    specification,
)
from langchain_selectllm.evaluation.page.forest import difference_row, forest, signed_axis
from langchain_selectllm.evaluation.page.numbers import Numbers
from langchain_selectllm.evaluation.page.pairs_figures import most_alike, pairs_figures

_AT = ("figures", "members")
_SEVERAL = 3


def members_section(numbers: Numbers) -> Section:
    """Leave-one-out, usage, smaller pools, agreement of answers, error correlation."""
    figures = []
    members = numbers.value(*_AT)
    if members["leave_one_out"]:
        figures += [_leave_one_out(numbers), _usage(numbers)]
    if members["smaller_pools"]:
        figures.append(_smaller_pools(numbers))
    figures += pairs_figures(numbers)
    return Section(name="members", question="Whom do I need?", answer=_answer(numbers), figures=figures)


def _answer(numbers: Numbers) -> list[Markup | str]:
    members = numbers.value(*_AT)
    if not members["leave_one_out"]:
        return ["The pool has one member."]
    called, idle = _called_and_idle(members)
    needed = [_sentence(numbers, i) for i in called[:_SEVERAL]]
    paragraphs: list[Markup | str] = [Markup("Most needed: {}.").format(Markup("; ").join(needed))]
    if len(called) > _SEVERAL:
        paragraphs.append(Markup("Least needed of those called: {}.").format(_sentence(numbers, called[-1])))
    if idle:
        paragraphs.append(f"Never called: {', '.join(idle)}.")
    alike = most_alike(numbers)
    if alike is not None:
        paragraphs.append(alike)
    paragraphs.append(_suggestion(numbers))
    return paragraphs


def _called_and_idle(members: Mapping[str, Any]) -> tuple[list[int], list[str]]:
    """Places of the members that are called, the most needed first, and the names of the others."""
    called, idle = [], []
    for i, usage in enumerate(members["usage"]):
        if usage["called_share"] > 0:
            called.append(i)
        else:
            idle.append(usage["member"])
    called.sort(key=lambda i: members["leave_one_out"][i]["difference"])
    return called, idle


def _sentence(numbers: Numbers, i: int) -> Markup:
    at = (*_AT, "leave_one_out", i)
    one = numbers.value(*at)
    text = Markup("without <strong>{}</strong> {} {}").format(
        one["without"][0], numbers.points(*at, "difference"), numbers.interval(*at, "ci95", sign=True)
    )
    if one["cost_share"] is not None:
        text += Markup(", cost {}").format(numbers.change(*at, "cost_share"))
    return text


def _suggestion(numbers: Numbers) -> Markup:
    at = (*_AT, "suggested_pool")
    suggested = numbers.value(*at)
    margin = numbers.distance(*_AT, "margin")
    if suggested is None:
        return Markup("No smaller pool is shown (95 %) to lose at most {}.").format(margin)
    kept = [name for name in numbers.report["members"] if name not in suggested["without"]]
    return Markup(
        "Suggested smaller pool: <strong>{}</strong> ({} {} against the whole pool; shown to lose at most "
        "{}). The router is replayed as fitted. Members were ranked on these queries: confirm the smaller "
        "pool on others."
    ).format(
        ", ".join(kept),
        numbers.points(*at, "difference"),
        numbers.interval(*at, "ci95", sign=True),
        margin,
    )


def _leave_one_out(numbers: Numbers) -> Figure:
    labels = short_names(numbers.report["members"])
    values, rows = [], []
    for i, one in enumerate(numbers.value(*_AT, "leave_one_out")):
        at = (*_AT, "leave_one_out", i)
        values.append(difference_row(labels[one["without"][0]], one))
        rows.append(
            [
                one["without"][0],
                numbers.points(*at, "difference"),
                numbers.interval(*at, "ci95", sign=True),
                numbers.decimal(*at, "calls"),
                numbers.change(*at, "cost_share"),
                numbers.change(*at, "latency_share"),
            ]
        )
    values.sort(key=lambda value: value["difference"])
    return Figure(
        name="leave-one-out",
        title="Without each member",
        caption="Accuracy of the headline system with one member unavailable, minus its accuracy with the "
        "whole pool, with 95 % intervals. Calls to the missing member go to the most probable member left, "
        "as in serving; the router is not refitted. Left of 0: the member is needed.",
        spec=forest(
            values,
            title="difference (points)",
            label="unavailable member",
            description="Leave-one-out differences in accuracy per member.",
        ),
        table=DataTable(
            columns=["without", "difference (points)", "95 %", "calls per query", "cost", "parallel latency"],
            rows=rows,
        ),
    )


def _usage(numbers: Numbers) -> Figure:
    rows = []
    for i, one in enumerate(numbers.value(*_AT, "usage")):
        at = (*_AT, "usage", i)
        rows.append(
            [
                one["member"],
                numbers.percent(*at, "called_share"),
                numbers.percent(*at, "decisive_share"),
                numbers.points(*at, "decisive_gain"),
                numbers.percent(*at, "accuracy_when_called"),
                numbers.percent(*at, "unreadable_share"),
            ]
        )
    return Figure(
        name="usage",
        title="Called, and decisive",
        caption="Share of queries that call the member, and on which the winner would change without its "
        "ballot.",
        spec=_usage_chart(numbers),
        table=DataTable(
            columns=[
                "member",
                "called (% of queries)",
                "decisive (% of queries)",
                "accuracy its ballots add (points)",
                "accuracy when called (%)",
                "unreadable replies (%)",
            ],
            rows=rows,
        ),
    )


def _usage_chart(numbers: Numbers) -> dict[str, Any]:
    """Two bars per member, the most called member first."""
    alt = altair()
    labels = short_names(numbers.report["members"])
    usage = sorted(numbers.value(*_AT, "usage"), key=lambda one: -one["called_share"])
    kinds = {"called": "called_share", "its ballot decides": "decisive_share"}
    values = []
    for one in usage:
        for kind, key in kinds.items():
            values.append({"member": labels[one["member"]], "what": kind, "share": one[key]})
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            y=alt.Y("member:N", sort=None, title="member"),
            yOffset=alt.YOffset("what:N", sort=list(kinds)),
            x=alt.X("share:Q", title="share of queries (%)", axis=alt.Axis(format=".1~%")),
            color=alt.Color("what:N", title=None, scale=alt.Scale(domain=list(kinds), range=[GREY, BLUE])),
            tooltip=["member:N", "what:N", *percent_tooltips("share")],
        )
    )
    height = max(32 * len(usage), 80)
    return specification(chart, description="Share of queries per member: called, decisive.", height=height)


def _smaller_pools(numbers: Numbers) -> Figure:
    pools, n = numbers.value(*_AT, "smaller_pools"), len(numbers.report["members"])
    values, rows = [], []
    for i, pool in enumerate(pools):
        at = (*_AT, "smaller_pools", i)
        size = n - len(pool["without"])
        values.append(
            {**difference_row(str(size), pool), "size": size, "without": ", ".join(pool["without"])}
        )
        rows.append(
            [
                str(size),
                ", ".join(pool["without"]),
                numbers.points(*at, "difference"),
                numbers.interval(*at, "ci95", sign=True),
                numbers.decimal(*at, "calls"),
                numbers.change(*at, "cost_share"),
            ]
        )
    return Figure(
        name="smaller-pools",
        title="Smaller pools",
        caption="Difference in accuracy when more and more members are unavailable: first all that are never "
        "called, then one by one the least needed of the others. With 95 % intervals.",
        spec=_smaller_pools_chart(values),
        table=DataTable(
            columns=["members left", "without", "difference (points)", "95 %", "calls per query", "cost"],
            rows=rows,
        ),
    )


def _smaller_pools_chart(values: list[dict[str, Any]]) -> dict[str, Any]:
    alt = altair()
    base = alt.Chart(alt.Data(values=values))
    x = alt.X("size:O", sort="descending", title="members left in the pool", axis=alt.Axis(labelAngle=0))
    y = alt.Y("difference:Q", title="difference (points)", axis=signed_axis())
    band = alt.Y("low:Q", title="difference (points)", axis=signed_axis())
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=GREY).encode(y="zero:Q")
    tooltip = ["size:O", "without:N", alt.Tooltip("difference:Q", format="+.2f")]
    chart = alt.layer(
        zero,
        base.mark_rule(color=BLUE, strokeWidth=2).encode(x=x, y=band, y2="high:Q"),
        base.mark_line(color=BLUE, opacity=0.5).encode(x=x, y=y),
        base.mark_point(color=BLUE, filled=True, size=60, opacity=1).encode(x=x, y=y, tooltip=tooltip),
    )
    return specification(chart, description="Accuracy over the number of members left.", height=220)

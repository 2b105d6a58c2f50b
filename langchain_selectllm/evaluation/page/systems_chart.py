"""Chart of every system's accuracy over one price."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from langchain_selectllm.evaluation.page.figure import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    altair,
    percent_tooltips,
    specification,
)

_FAMILIES = {
    "selectllm": "selectllm",
    "oracle": "oracle",
    "single_best": "fixed members",
    "all_members": "fixed members",
    "fixed_best": "fixed members",
    "prior_only": "fixed members",
    "self_consistency": "self-consistency",
    "routed_self_consistency": "self-consistency",
    "random": "random",
}
_OTHER = "other by query"
_STAR = "M0,-1L.26,-.36L.95,-.31L.42,.14L.59,.81L0,.44L-.59,.81L-.42,.14L-.95,-.31L-.26,-.36Z"
"""Outline of a star: no direct label can touch an interval, so the headline system has a mark of its own."""
_LOOKS = {
    "selectllm": (BLUE, "circle"),
    _OTHER: (PURPLE, "square"),
    "fixed members": (ORANGE, "triangle-up"),
    "random": (GREY, "cross"),
    "self-consistency": (GREEN, "diamond"),
    "oracle": (RED, "triangle-down"),
}
"""Colour and shape of each family of systems, in the order of the legend."""


def system_points(
    report: Mapping[str, Any], systems: Sequence[Mapping[str, Any]], price: str, factor: float
) -> list[dict[str, Any]]:
    """One row per system: accuracy with its interval, price, legend entry, and whether on the frontier.

    Args:
        report: The report as JSON types.
        systems: Those whose price is known.
        price: Key of the price in a system's entry.
        factor: Converts the price into the unit of the axis.
    """
    front = (report["figures"] or {"frontier": {price: []}})["frontier"][price]
    points = []
    for system in systems:
        name = system["name"]
        low, high = system["accuracy_ci95"]
        points.append(
            {
                "system": name,
                "group": _group(name, report["headline"]),
                "accuracy": system["accuracy"],
                "low": low,
                "high": high,
                "price": factor * system[price],
                "frontier": name in front,
                "headline": name == report["headline"],
            }
        )
    return points


def _group(name: str, headline: str | None) -> str:
    """Legend entry of a system; the headline system has one of its own."""
    if name == headline:
        return f"{name} (headline)"
    return _FAMILIES.get(name.partition(":")[0], _OTHER)


def price_chart(points: Sequence[dict[str, Any]], *, title: str, number: str) -> dict[str, Any]:
    """Specification of the chart.

    Args:
        points: Rows of `system_points`.
        title: Title of the price's axis, with its unit.
        number: Format of a price.
    """
    alt = altair()
    base = alt.Chart(alt.Data(values=list(points)))
    # Room on the right, so that the last point stays inside.
    widest = 1.08 * max(points, key=itemgetter("price"))["price"]
    x = alt.X("price:Q", title=title, scale=alt.Scale(domain=[0, widest or 1.0], nice=False))
    percent = {"title": "accuracy (%)", "axis": alt.Axis(format=".0%"), "scale": alt.Scale(zero=False)}
    y, y_low = alt.Y("accuracy:Q", **percent), alt.Y("low:Q", **percent)
    groups, colours, shapes = _legend(points)
    colour = alt.Color("group:N", title=None, scale=alt.Scale(domain=groups, range=colours))
    shape = alt.Shape("group:N", title=None, scale=alt.Scale(domain=groups, range=shapes))
    oracle = base.transform_filter("datum.group == 'oracle'").mark_rule(strokeDash=[2, 4], opacity=0.7)
    frontier = base.transform_filter("datum.frontier").mark_line(strokeDash=[5, 4], color=GREY)
    # Hollow marks, so that systems in the same place stay visible.
    marks = base.mark_point(size=80, filled=False, strokeWidth=2, opacity=1)
    star = base.transform_filter("datum.headline").mark_point(size=120, shape=_STAR, color=BLUE, filled=True)
    chart = alt.layer(
        oracle.encode(y=y, color=colour),
        base.mark_rule(opacity=0.35).encode(x=x, y=y_low, y2="high:Q", color=colour),
        frontier.encode(x=x, y=y),
        star.encode(x=x, y=y),
        marks.encode(x=x, y=y, color=colour, shape=shape, tooltip=_tooltip(title, number)),
    )
    return specification(chart, description=f"Accuracy of {len(points)} systems over {title}.", height=360)


def _legend(points: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str], list[str]]:
    """Entries that occur, with their colours and shapes; the headline system first."""
    present = set(map(itemgetter("group"), points))
    groups, colours, shapes = [], [], []
    for group in present - _LOOKS.keys():
        groups.append(group)
        colours.append(BLUE)
        shapes.append(_STAR)
    for group, (colour, shape) in _LOOKS.items():
        if group in present:
            groups.append(group)
            colours.append(colour)
            shapes.append(shape)
    return groups, colours, shapes


def _tooltip(title: str, number: str) -> list[Any]:
    alt = altair()
    return [
        alt.Tooltip("system:N"),
        *percent_tooltips("accuracy"),
        alt.Tooltip("low:Q", format=".1%", title="95 % from"),
        alt.Tooltip("high:Q", format=".1%", title="95 % to"),
        alt.Tooltip("price:Q", format=number, title=title),
    ]

"""Forest plots: differences with their intervals, one row each."""

from typing import Any

from langchain_selectllm.evaluation.page.figure import BLUE, GREY, altair, specification


def signed_axis() -> Any:
    """Axis of differences: numbers with their sign, 0 without one."""
    return altair().Axis(format="+~r", labelExpr="datum.value == 0 ? '0' : datum.label")


def _forest(values: list[dict[str, Any]], title: str, label: str) -> Any:
    """Differences with intervals, one row each, and a line at 0."""
    alt = altair()
    base = alt.Chart(alt.Data(values=values))
    y = alt.Y("name:N", sort=None, title=label)
    x = alt.X("difference:Q", title=title, axis=signed_axis())
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=GREY, strokeWidth=1.5)
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(
        y=y, x=alt.X("low:Q", title=title, axis=signed_axis()), x2="high:Q"
    )
    tooltip = [
        alt.Tooltip("name:N"),
        alt.Tooltip("difference:Q", format="+.2f"),
        alt.Tooltip("low:Q", format="+.2f", title="95 % from"),
        alt.Tooltip("high:Q", format="+.2f", title="95 % to"),
    ]
    points = base.mark_point(color=BLUE, filled=True, size=60, opacity=1).encode(y=y, x=x, tooltip=tooltip)
    return alt.layer(zero.encode(x="zero:Q"), rules, points)


def forest(values: list[dict[str, Any]], *, title: str, label: str, description: str) -> dict[str, Any]:
    """Specification of a forest plot.

    Args:
        values: Rows with `name`, `difference`, `low` and `high`, in the unit of the axis, from top to bottom.
        title: Title of the axis of differences, with its unit.
        label: Title of the axis of rows.
        description: Text alternative.
    """
    height = max(24 * len(values), 60)
    return specification(_forest(values, title, label), description=description, height=height)


def difference_row(name: str, one: dict[str, Any]) -> dict[str, Any]:
    """A row of a forest plot in percentage points."""
    low, high = one["ci95"]
    return {"name": name, "difference": 100 * one["difference"], "low": 100 * low, "high": 100 * high}

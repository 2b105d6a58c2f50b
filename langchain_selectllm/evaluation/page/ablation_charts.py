"""Charts of ablations, one per study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_selectllm.evaluation.ablation import AblationPoint
from langchain_selectllm.evaluation.page.figure import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    altair,
    specification,
)
from langchain_selectllm.evaluation.page.pictures import save_chart

_AXES = {
    "set_size": "members called at most",
    "pool_size": "members in the pool",
    "training": "training queries (n)",
}
"""Studies of a quantity, with the title of its axis; the others compare kinds."""
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)


def save_ablation_plots(points: Sequence[AblationPoint], folder: str | Path) -> list[Path]:
    """Writes one chart per study as SVG and PNG.

    Returns:
        The paths of the files.

    Raises:
        MissingDependencyError: If the extra `report` is not installed.
    """
    by_study: dict[str, list[AblationPoint]] = {}
    for point in points:
        by_study.setdefault(point.study, []).append(point)
    paths = []
    for study, chosen in by_study.items():
        name = f"ablation-{study.replace('_', '-')}"
        paths += save_chart(study_chart(study, chosen), Path(folder), name)
    return paths


def study_chart(study: str, points: Sequence[AblationPoint]) -> dict[str, Any]:
    """Specification of the chart of one study."""
    values = []
    for point in points:
        low, high = point.ci95
        value = {"variant": point.variant, "series": point.series, "accuracy": point.accuracy}
        values.append({**value, "low": low, "high": high})
    if study in _AXES:
        return _lines(values, _AXES[study], study)
    return _rows(values, study)


def _lines(values: list[dict[str, Any]], title: str, study: str) -> dict[str, Any]:
    """Accuracy over a quantity, one line per series."""
    alt = altair()
    kind = "linear"
    if study == "training":
        kind = "log"
    values = _with_groups(values)
    x = alt.X(
        "number:Q",
        title=title,
        scale=alt.Scale(type=kind, nice=False, zero=False),
        axis=alt.Axis(format="d", values=sorted({value["number"] for value in values})),
    )
    percent = {"title": "accuracy (%)", "axis": alt.Axis(format=".0%"), "scale": alt.Scale(zero=False)}
    y, y_low = alt.Y("accuracy:Q", **percent), alt.Y("low:Q", **percent)
    groups, kinds = _distinct(values, "group"), _distinct(values, "kind")
    colour = alt.Color("group:N", title=None, scale=_colours(groups), sort=groups)
    dash = alt.StrokeDash("kind:N", title=None, sort=kinds)
    if len(kinds) == 1:
        dash = alt.StrokeDash("group:N", title=None, sort=groups, legend=None)
    base = alt.Chart(alt.Data(values=values))
    chart = alt.layer(
        base.mark_rule(opacity=0.3).encode(x=x, y=y_low, y2="high:Q", color=colour),
        base.mark_line().encode(x=x, y=y, color=colour, strokeDash=dash, detail="series:N"),
        base.mark_point(filled=True, size=40, opacity=1).encode(x=x, y=y, color=colour),
    )
    return specification(chart, description=f"Accuracy by {title}.", height=300)


def _with_groups(values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their number and the two parts of their series.

    "best first, oracle" is a line of the group "best first" and of the kind "oracle".
    """
    rows = []
    for value in values:
        group, _, kind = value["series"].partition(", ")
        rows.append({**value, "number": int(value["variant"]), "group": group, "kind": kind or "selectllm"})
    return rows


def _distinct(values: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Different values of a key, in their order."""
    found: dict[str, None] = {}
    for value in values:
        found.setdefault(value[key])
    return list(found)


def _rows(values: list[dict[str, Any]], study: str) -> dict[str, Any]:
    """Accuracy of kinds, one row per variant and series."""
    alt = altair()
    names = _distinct(values, "series")
    y = alt.Y("variant:N", sort=None, title=study)
    offset = alt.YOffset("series:N", sort=names)
    percent = {"title": "accuracy (%)", "axis": alt.Axis(format=".1~%"), "scale": alt.Scale(zero=False)}
    colour = alt.Color("series:N", title=None, scale=_colours(names), sort=names)
    base = alt.Chart(alt.Data(values=values))
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            y=y, yOffset=offset, x=alt.X("low:Q", **percent), x2="high:Q", color=colour
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=y, yOffset=offset, x=alt.X("accuracy:Q", **percent), color=colour
        ),
    )
    height = max(18 * len(_distinct(values, "variant")) * len(names), 80)
    return specification(chart, description=f"Accuracy by {study}.", height=height)


def _colours(names: Sequence[str]) -> Any:
    scale = altair().Scale
    enough = _COLOURS * len(names)
    return scale(domain=list(names), range=list(enough[: len(names)]))

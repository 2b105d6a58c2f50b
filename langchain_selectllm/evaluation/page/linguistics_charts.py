"""Charts of the linguistic analysis."""

from pathlib import Path
from typing import Any

from langchain_selectllm.evaluation.linguistics import GroupComparison, LinguisticAnalysis
from langchain_selectllm.evaluation.page.figure import altair, short_names, specification
from langchain_selectllm.evaluation.page.forest import forest
from langchain_selectllm.evaluation.page.pictures import save_chart


def save_linguistics_plots(analysis: LinguisticAnalysis, folder: str | Path) -> list[Path]:
    """Writes the router's effects and those of all members as SVG and PNG.

    Returns:
        The paths of the files.

    Raises:
        MissingDependencyError: If the extra `report` is not installed.
    """
    router, *members = analysis.comparisons
    paths = []
    if router.effects:
        paths += save_chart(router_chart(router), Path(folder), "linguistics-router")
    compared = [one for one in members if one.effects]
    if compared:
        paths += save_chart(_members_chart(compared), Path(folder), "linguistics-members")
    return paths


def router_chart(comparison: GroupComparison) -> dict[str, Any]:
    """Specification of the forest plot of one comparison."""
    values = []
    for effect in sorted(comparison.effects, key=lambda effect: effect.delta):
        low, high = effect.ci95
        values.append({"name": effect.feature, "difference": effect.delta, "low": low, "high": high})
    return forest(
        values,
        title="Cliff's delta (no unit, -1 to 1)",
        label="feature of the query",
        description=f"{comparison.first} against {comparison.second}.",
    )


def _members_chart(comparisons: list[GroupComparison]) -> dict[str, Any]:
    alt = altair()
    labels = short_names([one.name for one in comparisons])
    values = []
    for one in comparisons:
        for effect in one.effects:
            cell = {"feature": effect.feature, "delta": effect.delta, "shown": effect.is_shown}
            values.append({"member": labels[one.name], **cell})
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("member:N", sort=None, title="member", axis=alt.Axis(labelAngle=-60, labelOverlap=False)),
        y=alt.Y("feature:N", sort=None, title="feature of the query"),
    )
    colour = alt.Color(
        "delta:Q",
        scale=alt.Scale(domain=[-0.5, 0, 0.5], range=["#8fb7ea", "#f2f2f2", "#f0a35e"], clamp=True),
        legend=alt.Legend(title="Cliff's delta (no unit)", gradientLength=160),
    )
    cells = base.mark_rect().encode(color=colour)
    marks = base.transform_filter("datum.shown").mark_point(color="#111", size=14, filled=True)
    return specification(
        alt.layer(cells, marks),
        description="Effects per member and feature; dots mark those shown after correction.",
        height=20 * len(comparisons[0].effects),
    )

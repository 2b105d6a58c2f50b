"""Building blocks of the page: sections, figures with their tables, and the look that all charts share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from langchain_selectllm._optional import require

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#3b7dd8", "#c8641a", "#2e8b57", "#d1495b", "#8a63d2", "#7a7f87"
"""Colours with a contrast of at least 3 to both the light and the dark background (WCAG 2.2, 1.4.11)."""
STATIC_WIDTH = 640
"""Width in pixels of charts without scripts and of saved plots."""


FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Font of charts; the metrics of Arial are known where pictures are made, so that labels do not overlap."""


_LABEL_CHARACTERS = 20
"""Longest label that fits beside a chart on a screen of 320 pixels."""


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """Numbers of a figure, for readers who cannot see it."""

    columns: Sequence[str]
    """Headings, with units."""
    rows: Sequence[Sequence[Markup | str]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with caption and table."""

    name: str
    """Name of the figure within the page and of its files."""
    title: str
    caption: str
    """How to read the chart, and the definitions of its quantities."""
    spec: dict[str, Any]
    """Vega-Lite specification whose width is that of its container."""
    table: DataTable


@dataclass(frozen=True, kw_only=True)
class Section:
    """One question of the page, its answer in words, and its figures."""

    name: str
    question: str
    answer: Sequence[Markup | str]
    """Paragraphs."""
    figures: Sequence[Figure] = field(default_factory=tuple)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Labels of at most 20 characters by name, distinct as the names are; the middle of a longer name is cut.

    A provider in front ("provider/model") is left out where the rest tells the names apart.
    """
    rests = [name.rpartition("/")[2] for name in names]
    if len(set(rests)) < len(rests):
        rests = list(names)
    labels: dict[str, str] = {}
    for number, (name, rest) in enumerate(zip(names, rests, strict=True), 1):
        label = rest
        if len(rest) > _LABEL_CHARACTERS:
            label = f"{rest[:8]}…{rest[8 + 1 - _LABEL_CHARACTERS :]}"
        if label in labels.values():
            label = f"{label[:-3]} {number}"
        labels[name] = label
    return labels


def altair() -> Any:
    """The charting library.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    return require("altair", extra="report", needed_by="The report page")


def percent_tooltips(*names: str) -> list[Any]:
    """Tooltips of shares, as percentages with one decimal."""
    tooltip = altair().Tooltip
    return [tooltip(f"{name}:Q", format=".1%") for name in names]


def specification(chart: Any, *, description: str, height: int | None = None) -> dict[str, Any]:
    """The Vega-Lite specification of a chart in the look of the page.

    Args:
        chart: An Altair chart or layers of charts.
        description: Text alternative of the chart.
        height: Height in pixels; by the number of rows when None.
    """
    sized = chart.properties(width="container", description=description)
    if height is not None:
        sized = sized.properties(height=height)
    spec: dict[str, Any] = _rounded(sized.to_dict())
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["config"] = CONFIG
    spec.pop("$schema", None)
    return spec


def _rounded(value: Any) -> Any:
    """The same value with numbers of five significant digits, more than a chart can show."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return value


_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12, "titleFontSize": 12}
CONFIG: dict[str, Any] = {
    # The wrapper of each chart carries the text alternative; marks are no stops for screen readers.
    "aria": False,
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        "titleFontWeight": "normal",
        "gridColor": GREY,
        "gridOpacity": 0.25,
        "domainColor": GREY,
        "tickColor": GREY,
        "labelLimit": 170,
        "labelOverlap": "greedy",
        "labelSeparation": 6,
        "labelFlush": False,
    },
    "axisX": {"tickCount": 8},
    "axisY": {"tickCount": 7},
    "legend": {
        **_TEXT,
        "orient": "top",
        "columns": 2,
        "gradientLength": 160,
        "labelLimit": 260,
        "titleLimit": 300,
        "symbolOpacity": 1,
    },
    "text": {"color": "currentColor", "fontSize": 12},
    "title": {"color": "currentColor"},
}
"""Look of all charts, as Vega-Lite's configuration."""

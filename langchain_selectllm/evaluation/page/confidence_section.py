"""Fourth question of the page: can I trust its confidence? Reliability diagram and risk-coverage curve."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from langchain_selectllm.evaluation.page.figure import (
    BLUE,
    GREY,
    ORANGE,
    DataTable,
    Figure,
    Section,
    altair,
    percent_tooltips,
    specification,
)
from langchain_selectllm.evaluation.page.numbers import Numbers

_AT = ("figures", "confidence")
_OF_BIN = ("n", "low", "high", "confidence", "accuracy")
_EXAMPLE = 0.8
"""Threshold of the example in words."""


def confidence_section(numbers: Numbers) -> Section:
    """Calibration, and what a threshold on the confidence gives."""
    question = "Can I trust its confidence?"
    if numbers.value(*_AT) is None:
        answer = ["Answers of this system come without a confidence: no vote was learned."]
        return Section(name="confidence", question=question, answer=answer)
    figures = [_reliability(numbers), _coverage(numbers)]
    return Section(name="confidence", question=question, answer=_answer(numbers), figures=figures)


def _answer(numbers: Numbers) -> list[Markup | str]:
    figures = numbers.value(*_AT)
    paragraphs: list[Markup | str] = [
        Markup(
            "Confidence and accuracy differ by {} on average over bins of confidence (ECE); perfectly "
            "calibrated confidences would show {} on as many queries by chance. {} mean confidence minus "
            "accuracy is {} {}."
        ).format(
            numbers.distance(*_AT, "ece"),
            numbers.distance(*_AT, "ece_by_chance"),
            _tendency(*figures["overconfidence_ci95"]),
            numbers.points(*_AT, "overconfidence"),
            numbers.interval(*_AT, "overconfidence_ci95", sign=True),
        )
    ]
    example = _example(figures["curve"])
    if example is not None:
        at = (*_AT, "curve", example)
        paragraphs.append(
            Markup(
                "Answering only from confidence {} on: {} of the queries are answered, {} of them right {}."
            ).format(
                numbers.decimal(*at, "threshold"),
                numbers.percent(*at, "coverage"),
                numbers.percent(*at, "accuracy"),
                numbers.interval(*at, "ci95"),
            )
        )
    return paragraphs


def _tendency(low: float, high: float) -> str:
    """What the interval of the mean overconfidence shows."""
    if low > 0:
        return "Confidence is too high on average:"
    if high < 0:
        return "Confidence is too low on average:"
    return "Confidence is not shown to be too high or too low on average:"


def _example(curve: list[dict[str, Any]]) -> int | None:
    """The first threshold of at least 0.8."""
    for i, point in enumerate(curve):
        if point["threshold"] >= _EXAMPLE:
            return i
    return None


def _reliability(numbers: Numbers) -> Figure:
    bins = numbers.value(*_AT, "bins")
    rows = []
    for i in range(len(bins)):
        at = (*_AT, "bins", i)
        rows.append(
            [
                Markup("{} to {}").format(numbers.decimal(*at, "low"), numbers.decimal(*at, "high")),
                numbers.count(*at, "n"),
                numbers.percent(*at, "confidence"),
                numbers.percent(*at, "accuracy"),
                numbers.interval(*at, "ci95"),
            ]
        )
    return Figure(
        name="reliability",
        title="Reliability",
        caption="Accuracy of answers by their confidence, in bins of equal width, with 95 % Wilson "
        "intervals; the numbers on top are queries per bin. On the dashed line accuracy equals confidence; "
        "below it answers are overconfident.",
        spec=_reliability_chart([_with_bounds(one, *_OF_BIN) for one in bins]),
        table=DataTable(
            columns=["confidence", "queries", "mean confidence (%)", "accuracy (%)", "95 %"], rows=rows
        ),
    )


def _with_bounds(one: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The values of these keys and the bounds of the interval, as a row of a chart."""
    low, high = one["ci95"]
    return {**{key: one[key] for key in keys}, "ci_low": low, "ci_high": high}


def _reliability_chart(values: list[dict[str, Any]]) -> dict[str, Any]:
    alt = altair()
    base = alt.Chart(alt.Data(values=values))
    full = alt.Scale(domain=[0, 1])
    x = alt.X("confidence:Q", scale=full, title="mean confidence (%)", axis=alt.Axis(format=".0%"))
    y = alt.Y("accuracy:Q", scale=full, title="accuracy (%)", axis=alt.Axis(format=".0%"))
    y_low = alt.Y("ci_low:Q", scale=full, title="accuracy (%)", axis=alt.Axis(format=".0%"))
    diagonal = alt.Chart(alt.Data(values=[{"at": 0}, {"at": 1}])).mark_line(color=GREY, strokeDash=[5, 4])
    tooltip = [alt.Tooltip("n:Q", title="queries"), *percent_tooltips("confidence", "accuracy")]
    size = alt.Size("n:Q", scale=alt.Scale(range=[30, 400]), legend=None)
    chart = alt.layer(
        diagonal.encode(x=alt.X("at:Q", scale=full), y=alt.Y("at:Q", scale=full)),
        base.mark_rule(color=BLUE).encode(x=x, y=y_low, y2="ci_high:Q"),
        base.mark_point(color=BLUE, filled=True, opacity=0.9).encode(x=x, y=y, size=size, tooltip=tooltip),
        _counts(base, full),
    )
    return specification(chart, description="Accuracy over mean confidence per bin.", height=320)


def _counts(base: Any, scale: Any) -> Any:
    """Queries per bin in a row above the chart, where no interval ends; in two rows on a narrow screen."""
    alt = altair()
    middle = base.transform_calculate(middle="(datum.low + datum.high) / 2")
    row = alt.ExprRef("width < 300 && round(10 * datum.low) % 2 ? -30 : -18")
    text = alt.Text("n:Q", format=".3~s")
    return middle.mark_text(fontSize=11).encode(x=alt.X("middle:Q", scale=scale), y=alt.value(row), text=text)


def _coverage(numbers: Numbers) -> Figure:
    values, rows = [], []
    for i, one in enumerate(numbers.value(*_AT, "curve")):
        at = (*_AT, "curve", i)
        values.append({**_with_bounds(one, "threshold", "coverage", "accuracy"), "place": i})
        rows.append(
            [
                numbers.decimal(*at, "threshold"),
                numbers.count(*at, "n"),
                numbers.percent(*at, "coverage"),
                numbers.percent(*at, "accuracy"),
                numbers.interval(*at, "ci95"),
            ]
        )
    return Figure(
        name="coverage",
        title="Accuracy over coverage",
        caption="If only answers of at least some confidence are given: share of queries answered and "
        "accuracy on those, with 95 % Wilson intervals. The diamond is the threshold chosen above.",
        spec=_coverage_chart(values),
        table=DataTable(columns=["threshold", "queries", "coverage (%)", "accuracy (%)", "95 %"], rows=rows),
    )


def _coverage_chart(values: list[dict[str, Any]]) -> dict[str, Any]:
    alt = altair()
    # The slider of the page moves this point; without scripts it stays at full coverage.
    chosen = alt.param(name="chosen", value=0)
    base = alt.Chart(alt.Data(values=values))
    scale = alt.Scale(zero=False)
    x = alt.X(
        "coverage:Q",
        title="coverage: queries answered (%)",
        axis=alt.Axis(format=".0%"),
        scale=alt.Scale(domain=[0, 1]),
    )
    y = alt.Y("accuracy:Q", title="accuracy on these (%)", axis=alt.Axis(format=".0%"), scale=scale)
    y_low = alt.Y("ci_low:Q", title="accuracy on these (%)", axis=alt.Axis(format=".0%"), scale=scale)
    tooltip = percent_tooltips("threshold", "coverage", "accuracy")
    marker = base.transform_filter("datum.place == chosen").mark_point(
        color=ORANGE, size=140, filled=True, shape="diamond"
    )
    chart = alt.layer(
        base.mark_area(color=BLUE, opacity=0.2).encode(x=x, y=y_low, y2="ci_high:Q"),
        base.mark_line(color=BLUE).encode(x=x, y=y),
        base.mark_point(color=BLUE, size=12, filled=True).encode(x=x, y=y, tooltip=tooltip),
        marker.encode(x=x, y=y),
    ).add_params(chosen)
    return specification(chart, description="Accuracy over coverage by threshold.", height=280)

"""The report page: one HTML file that loads nothing, with interactive charts and static pictures of them."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from langchain_selectllm._optional import require
from langchain_selectllm.evaluation.page.confidence_section import confidence_section
from langchain_selectllm.evaluation.page.errors_section import CAUSES, errors_section
from langchain_selectllm.evaluation.page.figure import CONFIG, Figure, Section, short_names
from langchain_selectllm.evaluation.page.members_section import members_section
from langchain_selectllm.evaluation.page.numbers import Numbers
from langchain_selectllm.evaluation.page.pictures import to_svg
from langchain_selectllm.evaluation.page.spending_section import spending_section
from langchain_selectllm.evaluation.page.systems_section import systems_section


def render_page(report: Mapping[str, Any], *, title: str = "Router report") -> str:
    """The report as one self-contained HTML page.

    Args:
        report: What `Report.to_dict` returns, or report.json.
        title: Title of the page.

    Raises:
        MissingDependencyError: If the extra `report` is not installed.
    """
    jinja2 = require("jinja2", extra="report", needed_by="The report page")
    # Every text of the report is escaped; markup comes from `Numbers` and from charts alone.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["unbroken"] = _unbroken
    environment.filters["by_answer"] = by_answer
    numbers = Numbers(report)
    sections = report_sections(numbers)
    style, script = _asset("page.css"), _script()
    page: str = environment.from_string(_asset("page.html.j2")).render(
        title=title,
        report=report,
        numbers=numbers,
        sections=sections,
        rows=_rows(report),
        causes=CAUSES,
        labels=short_names(report["members"]),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package and the charting library
        style_hash=_policy_hash(style),
        script_hash=_policy_hash(script),
        data=_embedded_json(_page_data(report, sections)),
        svg=_static_picture,
    )
    return page


def report_sections(numbers: Numbers) -> list[Section]:
    """The questions that this report can answer: without a headline system only the first."""
    sections = [systems_section(numbers)]
    if numbers.report["figures"] is not None:
        sections += [
            members_section(numbers),
            errors_section(numbers),
            confidence_section(numbers),
            spending_section(numbers),
        ]
    return sections


def _rows(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if report["figures"] is None:
        return ()
    rows: Sequence[Mapping[str, Any]] = report["figures"]["rows"]
    return rows


def by_answer(answers: Mapping[str, str | None]) -> list[tuple[str | None, list[str]]]:
    """The different answers to a query with the members that gave them, the most frequent first."""
    members: dict[str | None, list[str]] = {}
    for name, answer in answers.items():
        members.setdefault(answer, []).append(name)
    return sorted(members.items(), key=lambda one: (one[0] is None, -len(one[1])))


def _page_data(report: Mapping[str, Any], sections: Sequence[Section]) -> dict[str, Any]:
    """Specifications by name of the figure, their common look, and the curve that the slider moves along."""
    charts = {}
    for section in sections:
        for figure in section.figures:
            charts[figure.name] = {key: part for key, part in figure.spec.items() if key != "config"}
    curve = []
    if report["figures"] is not None and report["figures"]["confidence"] is not None:
        curve = [_slider_stop(point) for point in report["figures"]["confidence"]["curve"]]
    return {"config": CONFIG, "charts": charts, "curve": curve}


def _slider_stop(point: Mapping[str, Any]) -> dict[str, Any]:
    return {key: point[key] for key in ("threshold", "coverage", "accuracy")}


def _embedded_json(value: Any) -> Markup:
    """JSON that no HTML parser can take for the end of its script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - holds no "<"


def _static_picture(figure: Figure) -> Markup:
    return Markup(to_svg(figure.spec))  # noqa: S704 - the charting library escapes texts


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """Vega, Vega-Lite and Vega-Embed with the page's own script, in one bundle."""
    vl_convert = require("vl_convert", extra="report", needed_by="The report page")
    bundle: str = vl_convert.javascript_bundle(_asset("page.js"))
    # A closing tag in a string of the bundle would end the script element.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _unbroken(text: str) -> Markup:
    """The text, escaped, without line breaks between a number and its per cent sign."""
    return Markup(re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", escape(text)))  # noqa: S704 - escaped


def _policy_hash(text: str) -> str:
    """Source expression of an inline script or style in the content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

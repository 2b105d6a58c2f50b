"""Charts of a report as SVG and PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_selectllm.evaluation.page.numbers import Numbers
from langchain_selectllm.evaluation.page.pictures import save_chart
from langchain_selectllm.evaluation.page.render import report_sections


def save_plots(report: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Writes every chart of the report page as SVG and PNG.

    Args:
        report: What `Report.to_dict` returns, or report.json.
        folder: Folder of the files; made where it does not exist.

    Returns:
        The paths of the files.

    Raises:
        MissingDependencyError: If the extra `report` is not installed.
    """
    paths = []
    for section in report_sections(Numbers(report)):
        for figure in section.figures:
            paths += save_chart(figure.spec, Path(folder), figure.name)
    return paths

"""One chart as a picture: compact SVG inside a page, SVG and PNG files."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_selectllm._optional import require
from langchain_selectllm.evaluation.page.figure import FONT, STATIC_WIDTH

_PIXELS_PER_POINT = 2.0
"""Scale of PNG files, so that they stay sharp in print."""


_SVG_NOISE = re.compile(
    r' (?:class|role|pointer-events|aria-hidden|aria-roledescription|xmlns:xlink|version|font-family)="[^"]*"'
    r'|<path[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>| opacity="1"| transform="translate\(0,0\)"'
    r'| font-size="12px"| fill="currentColor"| stroke-width="1"'
)
"""Parts of an SVG that a picture without scripts does not need: hooks for scripts, roles, defaults.

Size and colour of texts are those of the page's style sheet.
"""
_COORDINATE = re.compile(r"[1-9]\d*\.\d+|\d+\.\d\d\d+")


def to_svg(spec: Mapping[str, Any]) -> str:
    """The chart as a compact SVG in a fixed width, for embedding in a page that gives its text alternative.

    Raises:
        MissingDependencyError: If the extra `report` is not installed.
    """
    vl_convert = require("vl_convert", extra="report", needed_by="Plots")
    svg: str = _SVG_NOISE.sub("", vl_convert.vegalite_to_svg(_sized(spec)))
    svg = re.sub(r'(?<==")[^"<>]*(?=")', _short_numbers, svg)
    font = FONT.replace("'", "")
    return svg.replace("<svg ", f'<svg font-family="{font}" ', 1)


def _short_numbers(attribute: re.Match[str]) -> str:
    """An attribute with coordinates in tenths of a pixel."""
    return _COORDINATE.sub(_tenths, attribute.group())


def _tenths(number: re.Match[str]) -> str:
    return f"{float(number.group()):.1f}".removesuffix(".0")


def save_chart(spec: Mapping[str, Any], folder: Path, name: str, *, png: bool = True) -> list[Path]:
    """Writes NAME.svg, and NAME.png unless it is not wanted, on a white background.

    Returns:
        The paths of the files.

    Raises:
        MissingDependencyError: If the extra `report` is not installed.
    """
    vl_convert = require("vl_convert", extra="report", needed_by="Plots")
    folder.mkdir(parents=True, exist_ok=True)
    opaque = _sized(spec)
    opaque["config"] = {**opaque["config"], "background": "white"}
    paths = [folder / f"{name}.svg"]
    paths[0].write_text(vl_convert.vegalite_to_svg(opaque), encoding="utf-8")
    if png:
        paths.append(folder / f"{name}.png")
        paths[1].write_bytes(vl_convert.vegalite_to_png(opaque, scale=_PIXELS_PER_POINT))
    return paths


def _sized(spec: Mapping[str, Any]) -> dict[str, Any]:
    sized: dict[str, Any] = copy.deepcopy(dict(spec))
    sized["width"] = STATIC_WIDTH
    return sized

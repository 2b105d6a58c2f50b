"""The cookbook's sources and notebooks."""

from tests.support.pages import ROOT

NOTEBOOKS = ROOT / "cookbook" / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))

"""Numbers of a report as text, each marked with its place in the report's JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

Path = tuple[str | int, ...]
"""Keys and indices from the root of the report to one value."""

_SPACE = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line breaks there."""
UNKNOWN = Markup('<span class="unknown">not recorded</span>')


@dataclass(frozen=True)
class Numbers:
    """Formats values of one report.

    Each number is written as `<data value=... data-path=...>`, so that a reader, or a test, can find the
    exact value in report.json.
    """

    report: Mapping[str, Any]

    def value(self, *path: str | int) -> Any:
        """The value at that place.

        Raises:
            KeyError: If there is no such key.
        """
        found: Any = self.report
        for key in path:
            found = found[key]
        return found

    def percent(self, *path: str | int) -> Markup:
        """A share as a percentage with one decimal."""
        return self._mark(path, 100.0, "z.1f", " %")

    def points(self, *path: str | int) -> Markup:
        """A difference of shares in percentage points, with its sign."""
        return self._mark(path, 100.0, "+z.1f", " points")

    def distance(self, *path: str | int) -> Markup:
        """A distance between shares in percentage points, without a sign."""
        return self._mark(path, 100.0, "z.1f", " points")

    def change(self, *path: str | int) -> Markup:
        """A relative change as a percentage, with its sign."""
        return self._mark(path, 100.0, "+z.0f", " %")

    def interval(self, *path: str | int, sign: bool = False) -> Markup:
        """Both bounds of an interval of shares, in percent or points."""
        spec = "+z.1f" if sign else "z.1f"
        low, high = self._mark((*path, 0), 100.0, spec, ""), self._mark((*path, 1), 100.0, spec, "")
        return Markup("[{}, {}]").format(low, high)

    def count(self, *path: str | int) -> Markup:
        """An integer with thousands separators."""
        return self._mark(path, 1.0, ",.0f", "")

    def decimal(self, *path: str | int) -> Markup:
        """A number with two decimals."""
        return self._mark(path, 1.0, ".2f", "")

    def seconds(self, *path: str | int) -> Markup:
        """A duration in seconds with three significant digits."""
        return self._mark(path, 1.0, ".3g", " s")

    def usd_per_1000(self, *path: str | int) -> Markup:
        """A cost per query, written per 1,000 queries in USD."""
        return self._mark(path, 1000.0, ".3g", " USD")

    def _mark(self, path: Path, factor: float, spec: str, unit: str) -> Markup:
        value = self.value(*path)
        if value is None:
            return UNKNOWN
        text = format(factor * value, spec).replace("-", "\N{MINUS SIGN}")
        place = "/".join(map(str, path))
        unit = unit.replace(" ", _SPACE)
        return Markup('<span data-path="{}">{}{}</span>').format(place, text, unit)


def join_sentences(sentences: Sequence[Markup | str]) -> Markup:
    """Sentences in one paragraph; plain strings are escaped."""
    return Markup(" ").join(sentences)

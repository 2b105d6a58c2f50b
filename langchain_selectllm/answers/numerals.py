"""Numerals in running text, by their exact value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 400
"""Digits of the longest number that is read, written out in full; a double ends at 309."""

_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
_MARKUP = re.compile(r"<<[^<>]*>>|\*\*|__|\\[!,;:]|\\(?:left|right|displaystyle)\b|\\(?=[$%€£])")

_GAP = "[ \u00a0\u2009\u202f]"
_INTEGER = rf"(?:[0-9]{{1,3}}(?:,[0-9]{{3}})++(?![0-9])|[0-9]{{1,3}}(?:{_GAP}[0-9]{{3}})++(?![0-9])|[0-9]++)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]++)?|\.[0-9]++)"
_CURRENCY = r"(?:[$€£¥₹]\s?)"
_TIMES = r"(?:[×x*·]|\\times|\\cdot)"
_NUMERAL = re.compile(
    rf"""
    (?<![\w.,])  (?P<sign>(?<![)\]}}%])[-−+]\s?{_CURRENCY}?|{_CURRENCY}[-−+]?)?
    (?:
        (?P<whole>[0-9]++)? \s? \\[dt]?frac \s? (?: \{{(?P<top>{_INTEGER})\}}\{{(?P<bottom>{_INTEGER})\}}
                                                  | (?P<top_digit>[0-9])(?P<bottom_digit>[0-9]) )
      | (?P<mixed>[0-9]++) (?:\s(?:and\s)?) (?P<over>[0-9]++) / (?P<under>[0-9]++)
      | (?P<ten>10)\^ \{{?(?P<exponent>[-−+]?[0-9]++)\}}?
      | (?P<number>{_DECIMAL})
        (?: [eE] (?P<e>[-−+]?[0-9]++)
          | \s?{_TIMES}\s?10 (?: \s?\^\s?\{{?(?P<power>[-−+]?[0-9]++)\}}? | (?P<raised>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]++) )
          | \s?/\s? (?P<divisor>{_DECIMAL})
        )?
    )
    (?: \s (?P<scale>{"|".join(_SCALES)}) \b )?
    """,
    re.VERBOSE,
)
# What follows shows that the numeral is a part of something else: an expression, a range, a time, a date, a
# list.
_CONTINUED = re.compile(rf"\s?(?:[-−–+*×·^:/=≈]|{_TIMES})\s?{_CURRENCY}?[0-9(\\]|,[0-9]|\.[0-9]|[0-9_^]")


@dataclass(frozen=True, slots=True)
class Numeral:
    """One numeral of a text."""

    value: Fraction | None
    """Exact value; None within an expression, a range, a time or a list, and beyond MAX_DIGITS."""
    start: int
    """Position in the tidied text."""


def tidy(text: str) -> str:
    """`text` without calculator annotations ("<<2*3=6>>"), bold marks and LaTeX spacing."""
    return _MARKUP.sub("", text.replace("{,}", ","))


def is_numeral(text: str) -> bool:
    """Whether `text` is nothing but one numeral, with a currency or percent sign at most."""
    return _NUMERAL.fullmatch(text.strip().removesuffix("%").rstrip()) is not None


def numerals(text: str) -> Iterator[Numeral]:
    """The numerals of a tidied text, in order."""
    for match in _NUMERAL.finditer(text):
        value = None
        if not _CONTINUED.match(text, match.end()):
            value = _value(match)
        yield Numeral(value, match.start())


def render(value: Fraction) -> str | None:
    """`value` as a plain decimal where it ends, otherwise as a reduced fraction; None beyond MAX_DIGITS."""
    places = _decimal_places(value.denominator)
    if places is None:
        if max(abs(value.numerator), value.denominator) >= 10**MAX_DIGITS:
            return None
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    if len(digits) > MAX_DIGITS:
        return None
    if places > 0:
        digits = f"{digits[:-places]}.{digits[-places:]}"
    if value < 0:
        return f"-{digits}"
    return digits


def _decimal_places(denominator: int) -> int | None:
    """Places behind the point that 1 / `denominator` needs; None when it never ends."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    return max(twos, fives)


def _value(match: re.Match[str]) -> Fraction | None:
    """The exact value of a match; None for a zero denominator or beyond MAX_DIGITS."""
    parts = match.groupdict()
    power = parts["e"] or parts["power"] or parts["raised"] or parts["exponent"] or "0"
    if (
        len(match[0]) > 2 * MAX_DIGITS
        or len(power) > 4
        or abs(int(power.translate(_SUPERSCRIPTS))) > MAX_DIGITS
    ):
        return None
    whole = _exact(parts["whole"] or parts["mixed"] or "0")
    top = _exact(parts["top"] or parts["top_digit"] or parts["over"] or parts["number"] or "1")
    bottom = _exact(parts["bottom"] or parts["bottom_digit"] or parts["under"] or parts["divisor"] or "1")
    if bottom == 0:
        return None
    exponent = int(power.translate(_SUPERSCRIPTS)) + _SCALES.get(parts["scale"] or "", 0)
    size = top
    # Arithmetic of fractions is slow, and most numerals are plain numbers.
    if bottom != 1:
        size /= bottom
    if whole:
        size += whole
    if exponent:
        size *= Fraction(10) ** exponent
    if re.search("[-−]", parts["sign"] or ""):
        return -size
    return size


def _exact(digits: str) -> Fraction:
    if digits.isdecimal():
        return Fraction(int(digits))
    return Fraction(re.sub(rf"{_GAP}|,", "", digits))

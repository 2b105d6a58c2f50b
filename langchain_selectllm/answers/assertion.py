"""The number that a sentence asserts, among those that it only mentions."""

import re
from collections.abc import Sequence
from fractions import Fraction

from langchain_selectllm.answers.numerals import Numeral, numerals


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


_WHOM = r"(?: (?:us|him|her|them|you))?"
_HEDGES = _any(
    "still", "now", "then", "also", "only", "just", "about", "around", "approximately", "exactly", "roughly"
)
_TOTAL = r"(?:(?:equal to|a total of|an additional|another|at least) )?"
_NUMBER_FOLLOWS = rf"\b(?: {_HEDGES})*[:\s]+{_TOTAL}[$€£*_`\"“(\[{{~≈]*$"

_EQUALS = re.compile(r"[=≈]|\\approx\b")
# A computation is described; whatever numbers go into it are not its result.
_COMPUTATION = re.compile(
    r"\b(?:(?:multipl|divid|subtract|calculat|comput|convert|determin|simplif|substitut|evaluat|summ)\w*"
    r"|compar\w*|add(?:s|ed|ing)?|sum|find|found|count(?:ed|ing)?|consider(?:ed)?|use[ds]?|using|works?)\b",
    re.IGNORECASE,
)
_DERIVED = _any(
    r"which(?: \w+)? (?:is|are|was)",
    "results? in",
    "resulting in",
    "equals?",
    "equal to",
    "to (?:get|obtain)",
    rf"(?:gets?|gives?|giving|makes?|making){_WHOM}",
    "comes? (?:out )?to",
    "amounts? to",
    "adds? up to",
    "totals?",
    "totall?ing",
    "for a total of",
    rf"leaving{_WHOM}(?: with)?",
)
_COPULA = _any(
    *("is", "are", "was", "were", "be", "becomes?"),
    rf"(?:got|obtain|to give|left|leaves?|ends? up){_WHOM}(?: with)?",
    *("sums? (?:up )?to", "rounded (?:up |down )?to"),
)
_BEHIND_DERIVED = re.compile(rf"\b{_DERIVED}{_NUMBER_FOLLOWS}", re.IGNORECASE)
_BEHIND_VERB = re.compile(
    rf"\b(?:is|are|was|were|(?:will|would|must|should) be){_NUMBER_FOLLOWS}", re.IGNORECASE
)
_BEHIND_RESULT = re.compile(rf"\b(?:{_DERIVED}|{_COPULA}){_NUMBER_FOLLOWS}", re.IGNORECASE)

_ASIDE = re.compile(r"\((?![^()]*\bor\b)[^()]*\)")
_OPENER = r"(?:(?:so|therefore|thus|hence|then|finally|and|but|now)\b,?\s+)*"
_LEADING_CLAUSE = re.compile(
    rf"^{_OPENER}(?:if|since|in|with|after|as|when|for|because|over|at|by|on|out|of|from|to|given|once|before"
    r"|while|during|within|converting|adding|subtracting|dividing|multiplying|using|considering|assuming"
    r"|comparing)\b"
    r"(?:[^,]|,(?=[0-9]{3}))*,(?![0-9]{3})\s+",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"^.*,\s+(?:so|thus|therefore|hence|which means|meaning)\b(?: that\b)?", re.IGNORECASE | re.DOTALL
)
_TRAILING_CLAUSE = re.compile(
    r"[,;]?\s+(?:since|because|as|given that|assuming|if|when|while|where|whereas|who|whose|such that|so that"
    r"|that (?:are|is|was|were|ha[sd]|have)|in order to|for which|(?:by|after|before) \w+ing)"
    r"\s+(?=[a-z$0-9]).*$",
    re.IGNORECASE | re.DOTALL,
)
_AUXILIARY = re.compile(
    r"\b(needs?|ha[sd]|have|able|going|required|allowed|supposed|used|likely|afford|continues?) to\s+",
    re.IGNORECASE,
)
# In front of a number that is referred to or belongs to a phrase, and is not what the sentence states.
_REFERRED_TO = re.compile(
    r"\b(?:of|in|for|per|after|from|at|with|on|over|by|than|about|within|during|into|before|until|between"
    r"|among|through|across|under|above|below|up|out|plus|minus|times|every|each|the|these|those|this|that"
    r"|his|her|their|its|our|all|both|first|last|next|remaining|other|another|initial|original"
    r"|(?:by|for|of|from|after) \w+ing|to\s+\w+(?:\s\w+)?)\s+"
    rf"(?:{_HEDGES}\s+)*{_TOTAL}[$€£*_`\"“(\[{{~≈]*$|#$",
    re.IGNORECASE,
)
# A number with an operator in front of it is an operand; with a space behind a minus, the minus is no sign.
_OPERAND = re.compile(r"(?:[\w)\]}]\s?[-−+*×/÷±]\s?|[\^_]\{?|\w\[)$")
_SPACED_SIGN = re.compile(r"[-−+]\s")
_FACTOR = re.compile(r"\S+\s+(?:times\b|percent of\b|% of\b)")
_LISTED = re.compile(r"\S+(?:\s[^\s,.;]+){0,3}(?:,\s|,?\s(?:and|or)\s)[$€£]?[0-9]")


def asserted_number(sentence: str, *, is_cut_off: bool = False) -> Fraction | None:
    """The value that a tidied sentence states; None when it states none, or several.

    With an equals sign it is the first number behind the last one. Otherwise the numbers count that stand
    neither in an aside, a subordinate clause or a prepositional phrase nor behind a determiner: one value
    among them is stated, and of several the one that is derived ("which is 12"). A described computation
    states only its result.

    Args:
        sentence: One sentence, tidied.
        is_cut_off: The sentence may go on: nothing is read from several numbers without an equals sign.
    """
    behind = _EQUALS.split(sentence)[-1]
    found = list(numerals(behind))
    if len(behind) < len(sentence):
        return _first_value(found)
    if len(found) == 1:
        return _only_number(sentence, found[0])
    if not found or is_cut_off:
        return None
    return _main_number(sentence)


def _first_value(found: Sequence[Numeral]) -> Fraction | None:
    if not found:
        return None
    return found[0].value


def describes_computation(sentence: str) -> bool:
    """Whether `sentence` describes a computation, so that its numbers need not be results."""
    return bool(_COMPUTATION.search(sentence))


def _only_number(sentence: str, number: Numeral) -> Fraction | None:
    if describes_computation(_main_clause(sentence)) and not _BEHIND_RESULT.search(sentence[: number.start]):
        return None
    return number.value


def _main_number(sentence: str) -> Fraction | None:
    """The value that the main clause of a sentence with several numbers states."""
    clause = _main_clause(sentence)
    results: set[Fraction | None] = set()
    objects: set[Fraction | None] = set()
    derived: Fraction | None = None
    for number in numerals(clause):
        before = clause[: number.start]
        if _FACTOR.match(clause, number.start) or _is_operand(clause, number):
            continue
        value = number.value
        if _LISTED.match(clause, number.start):
            # One item of a list is not the answer.
            value = None
        if _BEHIND_DERIVED.search(before):
            derived = value
        if _BEHIND_RESULT.search(before):
            results.add(value)
            if _BEHIND_VERB.search(before):
                # What stands in front of the verb belongs to its subject.
                objects &= {None}
        elif not _REFERRED_TO.search(before):
            objects.add(value)
    if not describes_computation(clause):
        results |= objects
    if len(results) == 1:
        return results.pop()
    return derived


def _main_clause(sentence: str) -> str:
    """`sentence` without asides and subordinate clauses, as long as what is left has a number."""
    clause = _AUXILIARY.sub(r"\1 ", _ASIDE.sub(" ", sentence))
    for subordinate in (_TRAILING_CLAUSE, _CONCLUSION, _LEADING_CLAUSE):
        shorter = subordinate.sub("", clause)
        if any(numerals(shorter)):
            clause = shorter
    return clause


def _is_operand(text: str, number: Numeral) -> bool:
    return bool(_OPERAND.search(text, 0, number.start) or _SPACED_SIGN.match(text, number.start))

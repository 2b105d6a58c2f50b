"""Inference of the kind of answer of queries without `answer_type`."""

from collections import Counter
from collections.abc import Iterable, Mapping

from langchain_selectllm.answers.letters import lone_letter
from langchain_selectllm.answers.numerals import is_numeral
from langchain_selectllm.answers.options import parse_options
from langchain_selectllm.answers.text import TextExtractor

_WORKED_SOLUTION = "####"
"""In front of the number that a worked solution of GSM8K ends with."""


def infer_answer_type(query: str, reference: str | None, replies: Iterable[str] = ()) -> str:
    """The kind of answer: "number", "choice" or "text".

    A reference that is a number makes it "number", and one that is a letter of the options that the query
    shows makes it "choice". Without a reference more than half of the replies have to state such an answer.

    Args:
        query: Text of the query.
        reference: The right answer, where it is known.
        replies: Replies to the query; read only where there is no reference.
    """
    options = parse_options(query)
    if reference is not None:
        return _kind_of(reference, options)
    kinds = Counter(_kind_of(TextExtractor().extract(reply) or "", options) for reply in replies)
    for kind in ("number", "choice"):
        if 2 * kinds[kind] > kinds.total():
            return kind
    return "text"


def _kind_of(answer: str, options: Mapping[str, str]) -> str:
    if lone_letter(answer) in options:
        return "choice"
    if is_numeral(answer) or _WORKED_SOLUTION in answer:
        return "number"
    return "text"

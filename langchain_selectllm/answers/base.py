"""What every answer extractor promises, and how an answer is graded."""

from typing import Protocol, runtime_checkable

from langchain_selectllm.exceptions import AnswerError


@runtime_checkable
class AnswerExtractor(Protocol):
    """Reads one canonical answer out of a reply, so that equal answers are equal strings."""

    @property
    def name(self) -> str:
        """Name of the kind of answer, as reports and artefacts write it."""
        ...

    def extract(self, reply: str, query: str | None = None) -> str | None:
        """The canonical answer of `reply`; None = abstain.

        Args:
            reply: Full text of a member's reply.
            query: Text of the query, for extractors that read what it offers (the options of a multiple choice).
        """
        ...

    def canonical(self, reference: str) -> str | None:
        """The canonical form of a bare reference answer; None where it is no answer of this kind."""
        ...


def is_correct(answer: str | None, reference: str, extractor: AnswerExtractor) -> bool:
    """Whether `answer` is the reference, both in the canonical form of `extractor`. An abstention is never correct.

    Raises:
        AnswerError: If `extractor` reads no answer from `reference`.
    """
    gold = extractor.canonical(reference)
    if gold is None:
        raise AnswerError(
            f"Reference {reference!r} is not a {extractor.name!r} answer. Correct the reference, or grade it with another "
            "extractor."
        )
    return answer == gold

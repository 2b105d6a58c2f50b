"""Exact text as an answer."""

from dataclasses import dataclass
from typing import ClassVar

_TRAILING = " .,;:!?…。"


@dataclass(frozen=True, slots=True)
class TextExtractor:
    """The whole reply is the answer, whatever its case, spacing and closing punctuation."""

    open_ended: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Always "text"."""
        return "text"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The folded reply; None when it is blank."""
        return self.canonical(reply)

    def canonical(self, reference: str) -> str | None:
        """`reference` case-folded, runs of white space as one space, closing punctuation dropped; None when blank.

        A text of nothing but punctuation keeps it.
        """
        folded = " ".join(reference.casefold().split())
        return folded.rstrip(_TRAILING) or folded or None

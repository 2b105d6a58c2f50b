"""One generated question with its exact answer."""

import zlib
from dataclasses import dataclass
from typing import Any

_HELD_OUT_OF = 8
"""One problem in 8 is held out of every training run."""


@dataclass(frozen=True, slots=True)
class Task:
    """One generated question with its exact answer."""

    category: str
    text: str
    reference: str
    answer_type: str
    """ "number", or "text" where the whole reply is the answer."""
    problem: str
    """What is asked whatever the words: "12+34". The side of a problem, trained or held out, follows from
    it."""
    working: str = ""
    """Steps that lead to the answer, one sentence; empty where there are none to show."""

    @property
    def held_out(self) -> bool:
        """Whether the problem is kept out of every training run, in all of its phrasings."""
        return zlib.crc32(self.problem.encode()) % _HELD_OUT_OF == 0

    def reply(self, *, with_working: bool = False) -> str:
        """Returns the correct reply in the pool's own wording.

        Args:
            with_working: Whether the steps come first, where there are any.
        """
        if self.answer_type == "text":
            return self.reference
        statement = f"The answer is {self.reference}."
        if with_working and self.working:
            return f"{self.working} {statement}"
        return statement

    def query(self, query_id: str) -> dict[str, Any]:
        """Returns the query record of the interchange format."""
        return {
            "query_id": query_id,
            "query": self.text,
            "reference": self.reference,
            "answer_type": self.answer_type,
            "category": self.category,
        }

"""Any callable as an extractor."""

from collections.abc import Callable
from dataclasses import dataclass

from langchain_selectllm.exceptions import AnswerError


@dataclass(frozen=True, slots=True)
class CallableExtractor:
    """Answers are what a callable returns for the reply; it does not get the query."""

    fn: Callable[[str], str | None]
    """Reply -> answer, already canonical; None = abstain."""

    @property
    def name(self) -> str:
        """Always "callable"."""
        return "callable"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The answer that the callable returns for `reply`; None = abstain.

        Raises:
            AnswerError: If the callable raises (its exception is the cause), or returns neither a string nor
                None.
        """
        called = getattr(self.fn, "__qualname__", None) or repr(self.fn)
        try:
            # The result of foreign code is checked below, so its declared type is not relied on.
            answer: object = self.fn(reply)
        except Exception as error:
            raise AnswerError(
                f"Answer callable {called} raised {type(error).__name__}: {error}. "
                "It must return None for a reply it cannot read."
            ) from error
        if answer is None or isinstance(answer, str):
            return answer
        raise AnswerError(
            f"Answer callable {called} returned {answer!r}, a {type(answer).__name__}. Return a string, or "
            "None to abstain."
        )

    def canonical(self, reference: str) -> str | None:
        """The answer that the callable returns for `reference`; the stripped reference where it returns None.

        A reference is an answer already and often lacks the wording that the callable expects in replies.

        Raises:
            AnswerError: If the callable raises, or returns neither a string nor None.
        """
        answer = self.extract(reference)
        if answer is None:
            return reference.strip()
        return answer

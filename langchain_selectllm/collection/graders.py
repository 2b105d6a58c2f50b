"""What a reply was worth, read from the reply alone: nobody is called."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langchain_selectllm.answers import get_extractor
from langchain_selectllm.collection.rows import GradeRow, Recorded
from langchain_selectllm.exceptions import AnswerError

GradeFunction = Callable[[str, str | None, str], float | None]
"""From reply, reference and query to a score in [0, 1]; None where it cannot tell."""


class Grader(Protocol):
    """Grades replies one by one."""

    @property
    def name(self) -> str:
        """Name of the grading in the store, unless the user gives another."""
        ...

    @property
    def kind(self) -> str:
        """One of "reference", a kind of answer, "function" and "judge"; an answer of the first two says whether it is right."""
        ...

    def grade(self, reply: Recorded) -> tuple[str | None, float | None]:
        """The answer of the reply and its score."""
        ...


@dataclass(frozen=True)
class AnswerGrader:
    """Right or wrong: the reply's answer against the reference, both in canonical form."""

    answer: str | None = None
    """"choice", "number", "text" or "json"; each query's own `answer_type` when None ("text" where it has none)."""

    @property
    def name(self) -> str:
        """The kind of answer, or "reference"."""
        return self.answer or "reference"

    kind = name

    def grade(self, reply: Recorded) -> tuple[str | None, float | None]:
        """The canonical answer, and whether it is right; without a reference nobody can tell.

        Raises:
            AnswerError: If the reference is no answer of that kind.
        """
        extractor = get_extractor(self.answer or reply.answer_type or "text")
        answer = extractor.extract(reply.text, reply.query)
        if reply.reference is None:
            return answer, None
        gold = extractor.canonical(reply.reference)
        if gold is None:
            raise AnswerError(
                f"The reference {reply.reference!r} of query {reply.query_id!r} is no {extractor.name} answer. Correct it "
                "(`--queries` reads references anew), or grade with another kind."
            )
        return answer, float(answer == gold)


@dataclass(frozen=True)
class FunctionGrader:
    """Whatever a function makes of the reply."""

    function: GradeFunction
    kind: str = "function"

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__qualname__", None) or type(self.function).__name__

    def grade(self, reply: Recorded) -> tuple[str | None, float | None]:
        """No answer, and the function's score.

        Raises:
            AnswerError: If the function raises, or returns something else than None or a number in [0, 1].
        """
        try:
            # Whatever foreign code returns is checked below, so its declared type is not relied on.
            score: Any = self.function(reply.text, reply.reference, reply.query)
        except Exception as error:
            raise AnswerError(
                f"Grading function {self.name} raised {type(error).__name__} on query {reply.query_id!r}: {error}. It must "
                "return None for a reply it cannot grade."
            ) from error
        if score is None:
            return None, None
        if not isinstance(score, (bool, int, float)) or not 0.0 <= score <= 1.0:
            raise AnswerError(
                f"Grading function {self.name} returned {score!r}. Return a number from 0 to 1, or None."
            )
        return None, float(score)


def get_grader(grader: str | GradeFunction | None) -> Grader:
    """The grader that is named or wrapped.

    Raises:
        AnswerError: If the kind of answer is unknown.
    """
    if grader is not None and not isinstance(grader, str):
        return FunctionGrader(grader)
    if grader is not None:
        get_extractor(grader)
    return AnswerGrader(grader)


def import_function(place: str) -> GradeFunction:
    """The function at "package.module:name" or "file.py:name".

    Raises:
        AnswerError: If there is none.
    """
    module_name, _, name = place.rpartition(":")
    try:
        module: Any = _module(module_name)
        function = getattr(module, name)
    except (ImportError, AttributeError, OSError, ValueError) as error:
        raise AnswerError(
            f"There is no function {place!r}: {error}. Write package.module:name or file.py:name."
        ) from error
    if not callable(function):
        raise AnswerError(
            f"{place!r} is no function but {function!r}. Name a function of (reply, reference, query)."
        )
    return function  # type: ignore[no-any-return]


def _module(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)
    spec.loader.exec_module(module)
    return module


def grade_row(
    grading: str, reply: Recorded, answer: str | None, score: float | None, cost_usd: float | None = None
) -> GradeRow:
    """The grade of a reply as the store keeps it."""
    return GradeRow(
        grading, reply.member, reply.parameters, reply.query_id, reply.sample, answer, score, cost_usd
    )

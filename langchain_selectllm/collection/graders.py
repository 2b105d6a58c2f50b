"""Scores of replies, read from their texts alone; no model is called."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langchain_selectllm.answers import get_extractor, gold_answer, read_answer
from langchain_selectllm.answers.inference import infer_answer_type
from langchain_selectllm.collection.rows import GradeRow, Recorded
from langchain_selectllm.exceptions import AnswerError

GradeFunction = Callable[[str, str | None, str], float | None]
"""Function of (reply, reference, query) that returns a score in [0, 1]; None where it cannot decide."""


class Grader(Protocol):
    """Grades replies one by one."""

    @property
    def name(self) -> str:
        """Name of the grading in the store, unless the user gives another."""
        ...

    @property
    def kind(self) -> str:
        """One of "reference", a kind of answer, "function" and "judge"; the first two grade by the answer."""
        ...

    def grade(self, reply: Recorded) -> tuple[str | None, float | None]:
        """Returns the answer of the reply and its score."""
        ...


@dataclass(frozen=True)
class AnswerGrader:
    """Compares the reply's answer with the reference, both in canonical form."""

    answer: str | None = None
    """"choice", "code", "json", "number" or "text"; each query's own `answer_type` when None, inferred
    where it has none."""

    @property
    def name(self) -> str:
        """The kind of answer, or "reference"."""
        return self.answer or "reference"

    @property
    def kind(self) -> str:
        """The kind of answer, or "reference"."""
        return self.answer or "reference"

    def grade(self, reply: Recorded) -> tuple[str | None, float | None]:
        """Returns the canonical answer and its score, 1 or 0; the score is None without a reference.

        Raises:
            AnswerError: If the reference is no answer of that kind.
        """
        kind = self.answer or reply.answer_type or infer_answer_type(reply.query, reply.reference)
        extractor = get_extractor(kind)
        answer = read_answer(extractor, reply.text, reply.query, finish_reason=reply.finish_reason)
        if reply.reference is None:
            return answer, None
        try:
            gold = gold_answer(reply.reference, extractor)
        except AnswerError as error:
            raise AnswerError(
                f"Query {reply.query_id!r}: {error} Correct it (`--queries` reads references anew), or grade "
                "with another kind."
            ) from error
        return answer, float(answer == gold)


@dataclass(frozen=True)
class FunctionGrader:
    """Scores replies with a function."""

    function: GradeFunction
    kind: str = "function"

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__qualname__", None) or type(self.function).__name__

    def grade(self, reply: Recorded) -> tuple[str | None, float | None]:
        """Returns no answer, and the function's score.

        Raises:
            AnswerError: If the function raises, or returns something else than None or a number in [0, 1].
        """
        try:
            # The result of foreign code is checked below, so its declared type is not relied on.
            score: Any = self.function(reply.text, reply.reference, reply.query)
        except Exception as error:
            raise AnswerError(
                f"Grading function {self.name} raised {type(error).__name__} on query {reply.query_id!r}: "
                f"{error}. It must return None for a reply it cannot grade."
            ) from error
        if score is None:
            return None, None
        if not isinstance(score, (bool, int, float)) or not 0.0 <= score <= 1.0:
            raise AnswerError(
                f"Grading function {self.name} returned {score!r}. Return a number from 0 to 1, or None."
            )
        return None, float(score)


def get_grader(grader: str | GradeFunction | None) -> Grader:
    """Returns the named grader, or a function as grader.

    Raises:
        AnswerError: If the kind of answer is unknown.
    """
    if grader is not None and not isinstance(grader, str):
        return FunctionGrader(grader)
    if grader is not None:
        get_extractor(grader)
    return AnswerGrader(grader)


def import_function(place: str) -> GradeFunction:
    """Returns the function at "package.module:name" or "file.py:name".

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
    """Returns the grade of a reply as the store keeps it."""
    return GradeRow(
        grading=grading,
        member=reply.member,
        parameters=reply.parameters,
        query_id=reply.query_id,
        sample=reply.sample,
        answer=answer,
        score=score,
        cost_usd=cost_usd,
    )

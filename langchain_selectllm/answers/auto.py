"""From what a user writes as `answer=` to an extractor."""

from collections.abc import Callable

from langchain_selectllm.answers.base import AnswerExtractor
from langchain_selectllm.exceptions import AnswerError


# Each module compiles many patterns, and a process reads replies as one kind or two.
def _choice() -> AnswerExtractor:
    from langchain_selectllm.answers.choice import ChoiceExtractor

    return ChoiceExtractor()


def _code() -> AnswerExtractor:
    from langchain_selectllm.answers.code import CodeExtractor

    return CodeExtractor()


def _json() -> AnswerExtractor:
    from langchain_selectllm.answers.json_value import JsonExtractor

    return JsonExtractor()


def _number() -> AnswerExtractor:
    from langchain_selectllm.answers.number import NumberExtractor

    return NumberExtractor()


def _text() -> AnswerExtractor:
    from langchain_selectllm.answers.text import TextExtractor

    return TextExtractor()


_BY_NAME: dict[str, Callable[[], AnswerExtractor]] = {
    "choice": _choice,
    "code": _code,
    "json": _json,
    "number": _number,
    "text": _text,
}

EXTRACTOR_NAMES: tuple[str, ...] = tuple(_BY_NAME)


def get_extractor(answer: str | Callable[[str], str | None] | AnswerExtractor) -> AnswerExtractor:
    """The extractor that `answer` names, is, or wraps.

    Args:
        answer: "choice", "code", "json", "number" or "text"; a callable from reply to answer or None; or an
            extractor, returned as it is.

    Raises:
        AnswerError: If the name is unknown, or `answer` is neither a name, a callable nor an extractor.
    """
    if isinstance(answer, str):
        if answer not in _BY_NAME:
            raise AnswerError(_unknown(answer))
        return _BY_NAME[answer]()
    # An extractor's class has the methods too, but they are not bound to anything yet.
    if not isinstance(answer, type) and isinstance(answer, AnswerExtractor):
        return answer
    if not callable(answer) or hasattr(answer, "extract"):
        raise AnswerError(_unknown(answer))
    from langchain_selectllm.answers.callables import CallableExtractor

    return CallableExtractor(answer)


def _unknown(answer: object) -> str:
    names = ", ".join(map(repr, _BY_NAME))
    return (
        f"Unknown answer extractor {answer!r}. Use {names}, a callable that takes a reply and returns its "
        "answer or None, or an instance of AnswerExtractor."
    )

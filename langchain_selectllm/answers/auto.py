"""From what a user writes as `answer=` to an extractor."""

from collections.abc import Callable
from importlib import import_module

from langchain_selectllm.answers.base import AnswerExtractor
from langchain_selectllm.exceptions import AnswerError

# Loaded at first use: each module compiles many patterns, and a process reads replies as one kind or two.
_CLASSES = {
    "choice": ("choice", "ChoiceExtractor"),
    "code": ("code", "CodeExtractor"),
    "json": ("json_value", "JsonExtractor"),
    "number": ("number", "NumberExtractor"),
    "text": ("text", "TextExtractor"),
}

EXTRACTOR_NAMES: tuple[str, ...] = tuple(_CLASSES)


def get_extractor(answer: str | Callable[[str], str | None] | AnswerExtractor) -> AnswerExtractor:
    """The extractor that `answer` names, is, or wraps.

    Args:
        answer: "choice", "code", "json", "number" or "text"; a callable from reply to answer or None; or an
            extractor, returned as it is.

    Raises:
        AnswerError: If the name is unknown, or `answer` is neither a name, a callable nor an extractor.
    """
    if isinstance(answer, str):
        if answer not in _CLASSES:
            raise AnswerError(_unknown(answer))
        module, name = _CLASSES[answer]
        extractor: AnswerExtractor = getattr(import_module(f"langchain_selectllm.answers.{module}"), name)()
        return extractor
    # An extractor's class has the methods too, but they are not bound to anything yet.
    if not isinstance(answer, type) and isinstance(answer, AnswerExtractor):
        return answer
    if not callable(answer) or hasattr(answer, "extract"):
        raise AnswerError(_unknown(answer))
    from langchain_selectllm.answers.callables import CallableExtractor

    return CallableExtractor(answer)


def _unknown(answer: object) -> str:
    names = ", ".join(map(repr, _CLASSES))
    return (
        f"Unknown answer extractor {answer!r}. Use {names}, a callable that takes a reply and returns its "
        "answer or None, or an instance of AnswerExtractor."
    )

"""The members of the embedded pool by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_selectllm.answers import get_extractor
from langchain_selectllm.embedded.chat_model import EmbeddedChatModel
from langchain_selectllm.embedded.names import EMBEDDED_PREFIX
from langchain_selectllm.exceptions import EmbeddedModelError

_MODELS = Path(__file__).parent / "models"
_STATED = "answer is"


def embedded_names() -> tuple[str, ...]:
    """Names of the embedded models, sorted."""
    return tuple(sorted(config.parent.name for config in _MODELS.glob("*/config.json")))


def load_embedded(name: str, **settings: Any) -> EmbeddedChatModel:
    """The chat model of one embedded model.

    Args:
        name: Such as "arithmetic" or "embedded:arithmetic".
        settings: Fields of the chat model: `temperature`, `max_tokens`, `seed`.

    Raises:
        EmbeddedModelError: If there is no such model.
    """
    stem = name.removeprefix(EMBEDDED_PREFIX)
    if stem not in embedded_names():
        raise EmbeddedModelError(
            f"{name!r} is not an embedded model. Use one of {', '.join(embedded_names())}."
        )
    return EmbeddedChatModel(model=EMBEDDED_PREFIX + stem, folder=_MODELS / stem, **settings)


def embedded_models(names: Sequence[str] | None = None, **settings: Any) -> dict[str, EmbeddedChatModel]:
    """The embedded pool, ready for a registry: chat models by member name ("embedded:arithmetic").

    Args:
        names: Which ones, in this order; all of them when None.
        settings: Fields of every chat model: `temperature`, `max_tokens`, `seed`.

    Raises:
        EmbeddedModelError: If a name is not that of an embedded model.
    """
    models = [load_embedded(name, **settings) for name in (embedded_names() if names is None else names)]
    return {model.model: model for model in models}


def read_answer(reply: str) -> str | None:
    """The answer in a reply of an embedded model, number or text; None = abstain.

    The pool answers questions for numbers with "... The answer is 42." and questions for words with the bare
    word. Use it as `VotingOutputParser(answer=read_answer)` where prompts of both kinds come in.
    """
    return get_extractor("number" if _STATED in reply else "text").extract(reply)

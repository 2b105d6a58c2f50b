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
    """Returns the chat model of one embedded model.

    Args:
        name: Such as "arithmetic" or "embedded:arithmetic".
        settings: Fields of the chat model: `temperature`, `max_tokens`, `seed`, `logprobs`.

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
    """Returns the embedded pool for a registry: chat models by member name ("embedded:arithmetic").

    Args:
        names: Members in this order; all of them when None.
        settings: Fields of every chat model: `temperature`, `max_tokens`, `seed`.

    Raises:
        EmbeddedModelError: If a name is not that of an embedded model.
    """
    if names is None:
        names = embedded_names()
    models = {}
    for name in names:
        model = load_embedded(name, **settings)
        models[model.model] = model
    return models


def read_answer(reply: str) -> str | None:
    """Returns the answer in a reply of an embedded model, number or text; None when it abstains.

    The pool answers questions for numbers with "... The answer is 42." and questions for words with the bare
    word. Use it as `VotingOutputParser(answer=read_answer)` where prompts of both kinds come in.
    """
    kind = "text"
    if _STATED in reply:
        kind = "number"
    return get_extractor(kind).extract(reply)

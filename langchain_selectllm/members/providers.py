"""Chat models of members, connected by their entries in the pool file."""

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_selectllm._optional import require
from langchain_selectllm.embedded.names import EMBEDDED_PREFIX
from langchain_selectllm.exceptions import MemberMismatchError, MissingDependencyError, PoolFileError

if TYPE_CHECKING:
    from langchain_selectllm.members.pool_file import MemberSpec

_TOP_LOGPROBS = 5
"""Alternatives per token that are requested: every provider that sends log-probabilities permits five."""

ChatModel = Runnable[LanguageModelInput, AIMessage]
"""A chat model, or any wrapper of one that still takes a prompt and returns a message."""


def connect(name: str, spec: "MemberSpec", *, max_retries: int = 2) -> ChatModel:
    """Returns the chat model of one member, with its system prompt before every prompt; no model is called.

    Args:
        name: Name of the member, for errors.
        spec: Its entry in the pool file.
        max_retries: Attempts after a failed one that the provider's client makes by itself; 2 is the default
            of most clients. A collection passes 0: its own retries are counted, and know of the member's
            limits.

    Raises:
        PoolFileError: If the provider refuses the settings, or misses its key in the environment.
        MissingDependencyError: If the provider's package is not installed.
    """
    sampling = {"temperature": spec.temperature, "max_tokens": spec.max_tokens}
    settings: dict[str, Any] = {key: value for key, value in sampling.items() if value is not None}
    if spec.logprobs:
        settings |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
    if spec.model.startswith(EMBEDDED_PREFIX):
        # By name, because the embedded pool brings torch along.
        embedded = importlib.import_module("langchain_selectllm.embedded")
        model = embedded.load_embedded(spec.model.removeprefix(EMBEDDED_PREFIX), **settings)
    else:
        model = _provider_model(name, spec, {**settings, "max_retries": max_retries})
    if spec.system_prompt is None:
        return cast("ChatModel", model)
    return RunnableLambda(partial(_after_system, spec.system_prompt)) | cast("ChatModel", model)


def as_chat_model(name: str, model: object) -> ChatModel:
    """Returns the model of a member, connected where it is given as a provider string; no model is called.

    Args:
        name: Name of the member, for errors.
        model: A chat model, another Runnable that returns a message, or a provider string as
            `init_chat_model` takes it.

    Raises:
        MemberMismatchError: If it is neither.
        PoolFileError: If the provider refuses the model, or misses its key in the environment.
        MissingDependencyError: If the provider's package is not installed.
    """
    if isinstance(model, str) and model:
        from langchain_selectllm.members.pool_file import MemberSpec

        return connect(name, MemberSpec(model=model))
    if isinstance(model, BaseChatModel):
        return model
    returned = "no message"
    if isinstance(model, Runnable):
        if _may_return_message(model):
            return model
        returned = f"{model.OutputType.__name__}, no message"
    raise MemberMismatchError(
        f"Member {name!r} is a {type(model).__name__}, which returns {returned}. Register a chat model, a "
        "Runnable that returns a model's message, or a provider string such as 'openai:gpt-4o-mini'."
    )


def _may_return_message(model: Runnable[Any, Any]) -> bool:
    """Whether the declared type of the output is a message, or is unknown."""
    try:
        output: Any = model.OutputType
    except TypeError:
        return True
    if output in (Any, object) or not isinstance(output, type):
        return True
    return issubclass(output, BaseMessage)


def _provider_model(name: str, spec: "MemberSpec", settings: dict[str, Any]) -> Any:
    chat_models = require("langchain.chat_models", extra="collect", needed_by=f"Member {name!r}")
    if spec.base_url is not None:
        settings["base_url"] = spec.base_url
    try:
        return chat_models.init_chat_model(spec.model, timeout=spec.timeout_s, **settings)
    except ImportError as error:
        raise MissingDependencyError(f"Member {name!r} ({spec.model}): {error}") from error
    except Exception as error:
        raise PoolFileError(
            f"Member {name!r} ({spec.model}) cannot be set up: {error} Check its settings, and that its "
            "key is in the environment."
        ) from error


def _after_system(system_prompt: str, prompt: LanguageModelInput) -> list[BaseMessage]:
    return [SystemMessage(system_prompt), *_messages(prompt)]


def _messages(prompt: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(prompt, str):
        return [HumanMessage(prompt)]
    if isinstance(prompt, PromptValue):
        return prompt.to_messages()
    return convert_to_messages(prompt)

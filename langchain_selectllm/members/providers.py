"""A member's chat model, made from its entry in the pool file."""

import importlib
from functools import partial
from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_selectllm._optional import require
from langchain_selectllm.embedded.names import EMBEDDED_PREFIX
from langchain_selectllm.exceptions import MissingDependencyError, PoolFileError
from langchain_selectllm.members.pool_file import MemberSpec

ChatModel = Runnable[LanguageModelInput, AIMessage]
"""A chat model, or any wrapper of one that still takes a prompt and returns a message."""


def connect(name: str, spec: MemberSpec) -> ChatModel:
    """The chat model of one member, its system prompt before every prompt; calls nobody.

    Args:
        name: Name of the member, for errors.
        spec: Its entry in the pool file.

    Raises:
        PoolFileError: If the provider refuses the settings, or misses its key in the environment.
        MissingDependencyError: If the provider's package is not installed.
    """
    sampling = {"temperature": spec.temperature, "max_tokens": spec.max_tokens}
    settings = {key: value for key, value in sampling.items() if value is not None}
    if spec.model.startswith(EMBEDDED_PREFIX):
        # By name, because the embedded pool stands above this module and brings torch along.
        embedded = importlib.import_module("langchain_selectllm.embedded")
        model = embedded.load_embedded(spec.model.removeprefix(EMBEDDED_PREFIX), **settings)
    else:
        model = _provider_model(name, spec, settings)
    if spec.system_prompt is None:
        return cast("ChatModel", model)
    return RunnableLambda(partial(_after_system, spec.system_prompt)) | cast("ChatModel", model)


def _provider_model(name: str, spec: MemberSpec, settings: dict[str, Any]) -> Any:
    chat_models = require("langchain.chat_models", extra="collect", needed_by=f"Member {name!r}")
    if spec.base_url is not None:
        settings["base_url"] = spec.base_url
    try:
        # Retries are ours: the provider's own would neither be counted nor know of the member's limits.
        return chat_models.init_chat_model(spec.model, timeout=spec.timeout_s, max_retries=0, **settings)
    except ImportError as error:
        raise MissingDependencyError(f"Member {name!r} ({spec.model}): {error}") from error
    except Exception as error:
        raise PoolFileError(
            f"Member {name!r} ({spec.model}) cannot be set up: {error} Check its entry in the pool file, and that its key is "
            "in the environment."
        ) from error


def _after_system(system_prompt: str, prompt: LanguageModelInput) -> list[BaseMessage]:
    messages: list[BaseMessage]
    if isinstance(prompt, str):
        messages = [HumanMessage(prompt)]
    else:
        messages = prompt.to_messages() if isinstance(prompt, PromptValue) else convert_to_messages(prompt)
    return [SystemMessage(system_prompt), *messages]

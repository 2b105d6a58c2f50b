"""Five small language models inside the package: a pool without keys, downloads or network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_selectllm.embedded.chat_model import EmbeddedChatModel
    from langchain_selectllm.embedded.members import (
        embedded_models,
        embedded_names,
        load_embedded,
        read_answer,
    )
    from langchain_selectllm.embedded.names import EMBEDDED_PREFIX
    from langchain_selectllm.embedded.sampling import sample_outcomes
    from langchain_selectllm.embedded.task import Task
    from langchain_selectllm.embedded.task_generator import generate_tasks

__all__ = [
    "EMBEDDED_PREFIX",
    "EmbeddedChatModel",
    "Task",
    "embedded_models",
    "embedded_names",
    "generate_tasks",
    "load_embedded",
    "read_answer",
    "sample_outcomes",
]

# Every router knows the prefix of embedded models, and few have such members: their modules are imported when
# a name of theirs is first used.
_HOMES = {
    "EMBEDDED_PREFIX": "names",
    "EmbeddedChatModel": "chat_model",
    "Task": "task",
    "embedded_models": "members",
    "embedded_names": "members",
    "generate_tasks": "task_generator",
    "load_embedded": "members",
    "read_answer": "members",
    "sample_outcomes": "sampling",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

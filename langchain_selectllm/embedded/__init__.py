"""Five small language models inside the package: a pool without keys, downloads or network."""

from langchain_selectllm.embedded.chat_model import EmbeddedChatModel
from langchain_selectllm.embedded.members import embedded_models, embedded_names, load_embedded, read_answer
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

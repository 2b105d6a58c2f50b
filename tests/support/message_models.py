"""Chat models that return one given message, and note the keyword arguments of their calls."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field


class MessageModel(BaseChatModel):
    """Returns `message`; without `bind_tools`, as models that only complete text."""

    model: str = "message-model"
    message: AIMessage
    calls: list[dict[str, Any]] = Field(default_factory=list)
    """Keyword arguments of every call so far."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.calls.append(kwargs)
        metadata = {"model_name": self.model, **self.message.response_metadata}
        message = self.message.model_copy(update={"response_metadata": metadata})
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def _llm_type(self):
        return "message-model"

    @property
    def _identifying_params(self):
        return {"model": self.model, "message": self.message.model_dump()}


def message_models(**messages):
    """Members by name, each with its message."""
    return {name: MessageModel(model=name, message=message) for name, message in messages.items()}

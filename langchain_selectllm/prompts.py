"""Prompts as messages, and the text of a prompt that is routed on."""

from collections.abc import Callable, Sequence

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

TextOf = Callable[[Sequence[BaseMessage]], str]
"""From the messages of a prompt to the text that is routed on."""


def prompt_messages(prompt: LanguageModelInput) -> list[BaseMessage]:
    """Messages of a prompt, in any form that a chat model accepts.

    Raises:
        TypeError: If no chat model would accept it.
    """
    if isinstance(prompt, str):
        return [HumanMessage(prompt)]
    if isinstance(prompt, PromptValue):
        return prompt.to_messages()
    if isinstance(prompt, Sequence):
        return convert_to_messages(prompt)
    raise TypeError(
        f"The prompt is a {type(prompt).__name__}. Pass a string, a list of messages, or the value of a "
        "prompt template."
    )


def last_human_text(messages: Sequence[BaseMessage]) -> str:
    """Text blocks of the last human message; of the last message where there is none."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return str(message.text)
    if messages:
        return str(messages[-1].text)
    return ""


def whole_transcript(messages: Sequence[BaseMessage]) -> str:
    """Text blocks of all messages, one "role: text" per line; messages without text are left out."""
    return "\n".join(f"{message.type}: {message.text}" for message in messages if message.text)

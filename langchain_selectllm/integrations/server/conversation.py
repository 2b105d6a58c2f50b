"""Messages of OpenAI's wire format as LangChain's."""

from collections.abc import Sequence
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call

from langchain_selectllm.integrations.server.chat_body import Message
from langchain_selectllm.integrations.server.errors import invalid


def to_messages(messages: Sequence[Message]) -> list[BaseMessage]:
    """The conversation as LangChain's messages.

    Raises:
        ApiError: If a message lacks what its role needs.
    """
    return [_to_message(message, i) for i, message in enumerate(messages)]


def _to_message(message: Message, i: int) -> BaseMessage:
    content: Any = _content(message)
    if message.role == "assistant":
        return _assistant(message, content)
    if message.content is None:
        raise invalid(f"Field messages[{i}].content is missing.", param=f"messages[{i}].content")
    if message.role == "user":
        return HumanMessage(content, name=message.name)
    if message.role == "tool":
        if message.tool_call_id is None:
            raise invalid(
                f"Field messages[{i}].tool_call_id is missing.", param=f"messages[{i}].tool_call_id"
            )
        return ToolMessage(content, tool_call_id=message.tool_call_id)
    if message.role == "developer":
        return SystemMessage(content, name=message.name, additional_kwargs={"__openai_role__": "developer"})
    return SystemMessage(content, name=message.name)


def _content(message: Message) -> str | list[dict[str, Any]]:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return [part.model_dump(exclude_none=True) for part in message.content]


def _assistant(message: Message, content: Any) -> AIMessage:
    calls, broken = [], []
    for call in message.tool_calls or ():
        raw = call.model_dump()
        try:
            calls.append(parse_tool_call(raw, return_id=True))
        except OutputParserException as error:
            broken.append(make_invalid_tool_call(raw, str(error)))
    return AIMessage(content, name=message.name, tool_calls=calls, invalid_tool_calls=broken)

"""Messages of LlamaIndex as messages of LangChain, and back."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from pydantic import TypeAdapter

if TYPE_CHECKING:
    from io import IOBase

_SYSTEM = {MessageRole.SYSTEM, MessageRole.DEVELOPER}
_ASSISTANT = {MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL}
_TOOL = {MessageRole.TOOL, MessageRole.FUNCTION}
_CARRIED = (TextBlock, ImageBlock, AudioBlock, DocumentBlock, ToolCallBlock)
# Blocks without a counterpart in LangChain (thinking, cache points, …) travel here as JSON with their places,
# so that a LlamaIndex member gets them back; LangChain's own models ignore them.
_UNCARRIED = "llama_index_blocks"
_BLOCK: TypeAdapter[ContentBlock] = TypeAdapter(ContentBlock)


def to_langchain(message: ChatMessage) -> BaseMessage:
    """The message as LangChain has it.

    Raises:
        ValueError: If media of the message cannot be read.
    """
    content = _content(message.blocks)
    extra = uncarried(message.blocks)
    if message.role in _SYSTEM:
        return SystemMessage(content, additional_kwargs=extra)
    if message.role in _ASSISTANT:
        return AIMessage(content, tool_calls=_tool_calls(message.blocks), additional_kwargs=extra)
    if message.role in _TOOL:
        call_id = str(message.additional_kwargs.get("tool_call_id") or "")
        return ToolMessage(content, tool_call_id=call_id, additional_kwargs=extra)
    return HumanMessage(content, additional_kwargs=extra)


def to_llama_index(message: BaseMessage) -> ChatMessage:
    """The message as LlamaIndex has it.

    Raises:
        ValueError: If the message is of a kind, or holds a block, that LlamaIndex has no counterpart for.
    """
    known: dict[str, Any] = {}
    if isinstance(message, AIMessage):
        role = MessageRole.ASSISTANT
        blocks: list[ContentBlock] = (
            [TextBlock(text=message.text)] if message.text or not message.tool_calls else []
        )
        blocks += [
            ToolCallBlock(tool_call_id=call["id"], tool_name=call["name"], tool_kwargs=call["args"])
            for call in message.tool_calls
        ]
    else:
        role = _role(message)
        blocks = [_llama_block(dict(block)) for block in message.content_blocks]
        if isinstance(message, ToolMessage):
            known = {"tool_call_id": message.tool_call_id}
    for place, dumped in message.additional_kwargs.get(_UNCARRIED, []):
        blocks.insert(place, _BLOCK.validate_python(dumped))
    return ChatMessage(role=role, blocks=blocks, additional_kwargs=known)


def arguments_of(call: ToolCallBlock) -> dict[str, Any]:
    """The arguments of a call, which some providers leave as JSON text.

    Raises:
        ValueError: If the text is not JSON.
    """
    arguments = call.tool_kwargs
    return dict(json.loads(arguments or "{}") if isinstance(arguments, str) else arguments)


def uncarried(blocks: Sequence[ContentBlock]) -> dict[str, Any]:
    """The blocks that LangChain has no word for, as `additional_kwargs` of a LangChain message."""
    kept = [
        [i, block.model_dump(mode="json")]
        for i, block in enumerate(blocks)
        if not isinstance(block, _CARRIED)
    ]
    return {_UNCARRIED: kept} if kept else {}


def _role(message: BaseMessage) -> MessageRole:
    for kind, role in (
        (SystemMessage, MessageRole.SYSTEM),
        (HumanMessage, MessageRole.USER),
        (ToolMessage, MessageRole.TOOL),
    ):
        if isinstance(message, kind):
            return role
    raise ValueError(
        f"LlamaIndex has no counterpart for a {type(message).__name__}. "
        "Use system, human, AI or tool messages."
    )


def _content(blocks: Sequence[ContentBlock]) -> str | list[str | dict[Any, Any]]:
    parts = [
        _langchain_block(block)
        for block in blocks
        if isinstance(block, TextBlock | ImageBlock | AudioBlock | DocumentBlock)
    ]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return [*parts] or ""


def _tool_calls(blocks: Sequence[ContentBlock]) -> list[Any]:
    calls = [block for block in blocks if isinstance(block, ToolCallBlock)]
    return [{"name": call.tool_name, "args": arguments_of(call), "id": call.tool_call_id} for call in calls]


def _langchain_block(block: TextBlock | ImageBlock | AudioBlock | DocumentBlock) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    resolve: Callable[[], IOBase]
    if isinstance(block, ImageBlock):
        kind, mime, resolve = "image", block.image_mimetype, block.resolve_image
    elif isinstance(block, AudioBlock):
        kind, mime, resolve = "audio", f"audio/{block.format or 'wav'}", block.resolve_audio
    else:
        kind, mime, resolve = "file", block.document_mimetype, block.resolve_document
    named = {"filename": block.title} if isinstance(block, DocumentBlock) and block.title else {}
    if block.url:
        return {"type": kind, "url": str(block.url), **named}
    return {"type": kind, "base64": base64.b64encode(resolve().read()).decode(), "mime_type": mime, **named}


def _llama_block(block: Mapping[str, Any]) -> ContentBlock:
    kind, url, mime = block["type"], block.get("url"), block.get("mime_type")
    data = base64.b64decode(block["base64"]) if "base64" in block else None
    if kind == "text":
        return TextBlock(text=block["text"])
    if kind == "image":
        return ImageBlock(image=data, url=url, image_mimetype=mime)
    if kind == "audio":
        return AudioBlock(audio=data, url=url, format=mime.partition("/")[2] if mime else None)
    if kind == "file":
        return DocumentBlock(data=data, url=url, document_mimetype=mime, title=block.get("filename"))
    raise ValueError(
        f"LlamaIndex has no counterpart for a {kind!r} block. Use text, image, audio or file blocks."
    )

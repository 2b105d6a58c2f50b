"""The body of a stateless Responses request, as the chat completion request that it means."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from langchain_selectllm.integrations.server.chat_body import ChatBody, validate
from langchain_selectllm.integrations.server.errors import ApiError, invalid, unsupported
from langchain_selectllm.integrations.server.knobs import Knobs

_STATE = ("previous_response_id", "conversation", "prompt")
"""Fields that need stored responses."""
_IGNORED = ("include", "truncation", "store", "background", "client_metadata")
"""Fields whose remaining values mean nothing for a reply that is not stored and never cut."""
_CHAT_PARTS = {"input_text": "text", "output_text": "text", "text": "text"}


class ResponsesBody(BaseModel):
    """A Responses request; fields that are not listed here are in `model_extra`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = False
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    background: bool | None = None
    user: str | None = None
    selectllm: Knobs | None = None


def as_chat(body: ResponsesBody) -> ChatBody:
    """The chat completion request that means the same.

    Raises:
        ApiError: If a field needs stored responses, or has no counterpart.
    """
    _refuse_state(body)
    messages: list[dict[str, Any]] = []
    if body.instructions is not None:
        messages.append({"role": "system", "content": body.instructions})
    items = body.input
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    for i, item in enumerate(items):
        _add_item(messages, item, f"input[{i}]")
    chat: dict[str, Any] = {"model": body.model, "messages": messages, "user": body.user}
    chat |= {"parallel_tool_calls": body.parallel_tool_calls, "max_tokens": body.max_output_tokens}
    chat |= {"temperature": body.temperature, "top_p": body.top_p, "tool_choice": _choice(body.tool_choice)}
    if body.tools:
        chat["tools"] = [_tool(tool, i) for i, tool in enumerate(body.tools)]
    chat |= _text_settings(body.text or {})
    if body.reasoning is not None:
        chat["reasoning_effort"] = body.reasoning.get("effort")
    chat |= _further(body)
    return validate({name: value for name, value in chat.items() if value is not None}, ChatBody)


def _refuse_state(body: ResponsesBody) -> None:
    given = body.model_extra or {}
    for name in _STATE:
        if given.get(name) is not None:
            raise _stateless(name)
    if body.store:
        raise _stateless("store")
    if body.background:
        raise unsupported("background", "background is not supported; the reply comes with the request.")


def _stateless(name: str) -> ApiError:
    message = f"{name} is not supported, because this server keeps no responses. Send the whole input."
    return unsupported(name, message)


def _further(body: ResponsesBody) -> dict[str, Any]:
    """The remaining fields, which mean the same in a chat request, or are handed on to the members."""
    given = body.model_extra or {}
    further = {name: given[name] for name in given if name not in (*_STATE, *_IGNORED)}
    if body.metadata:
        further["metadata"] = body.metadata
    return further


def _add_item(messages: list[dict[str, Any]], item: Mapping[str, Any], place: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        content = item.get("content")
        if isinstance(content, list):
            content = [_part(part, f"{place}.content[{i}]") for i, part in enumerate(content)]
        messages.append({"role": item.get("role"), "content": content})
    elif kind == "function_call":
        _add_call(messages, item)
    elif kind == "function_call_output":
        output = item.get("output")
        if isinstance(output, list):
            output = [_part(part, f"{place}.output[{i}]") for i, part in enumerate(output)]
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
    elif kind != "reasoning":
        # Reasoning of an earlier turn is the provider's; members that think do so again.
        raise unsupported(f"{place}.type", f"Items of type {kind!r} are not supported.")


def _add_call(messages: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    last = messages[-1] if messages else {}
    if last.get("role") == "assistant":
        last.setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _part(part: Any, place: str) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise invalid(f"Field {place} is not an object.", param=place)
    kind = part.get("type")
    if kind in _CHAT_PARTS:
        return {"type": "text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {
            "type": "image_url",
            "image_url": {"url": part["image_url"], "detail": part.get("detail", "auto")},
        }
    if kind == "input_file":
        names = [name for name in ("filename", "file_data") if name in part]
        return {"type": "file", "file": {name: part[name] for name in names}}
    raise unsupported(
        place, f"Parts of type {kind!r} are not supported; use input_text or input_image with a URL."
    )


def _tool(tool: Mapping[str, Any], i: int) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise unsupported(f"tools[{i}].type", f"Tools of type {tool.get('type')!r} are not supported.")
    function = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") != "function":
        raise unsupported("tool_choice", f"A tool_choice of type {choice.get('type')!r} is not supported.")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _text_settings(text: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {"verbosity": text.get("verbosity")}
    form = text.get("format")
    if isinstance(form, Mapping):
        settings["response_format"] = dict(form)
        if form.get("type") == "json_schema":
            schema = {name: value for name, value in form.items() if name != "type"}
            settings["response_format"] = {"type": "json_schema", "json_schema": schema}
    return settings

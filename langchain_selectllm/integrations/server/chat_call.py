"""From a validated chat completion request to the call of the router."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_selectllm.integrations.server.adapter import RouterCall, RouterSettings, ServedRouter
from langchain_selectllm.integrations.server.chat_body import HANDED_ON, ChatBody, ResponseFormat, ToolChoice
from langchain_selectllm.integrations.server.conversation import to_messages
from langchain_selectllm.integrations.server.errors import invalid, unsupported
from langchain_selectllm.integrations.server.knobs import MODEL, Knobs, apply_knobs, with_headers
from langchain_selectllm.integrations.server.schema_check import check_schema
from langchain_selectllm.integrations.server.settings import ServerSettings

_REFUSED_UNLESS: Mapping[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "functions": (None,),
    "function_call": (None,),
}
"""Fields that cannot be honoured, with the values that ask for nothing."""
_OWN = (*ChatBody.model_fields, *_REFUSED_UNLESS, *HANDED_ON)
_OF_LANGCHAIN = frozenset(
    {
        "self",
        "input",
        "input_",
        "config",
        "func",
        "run_type",
        "serialized",
        "prompt",
        "prompts",
        "callbacks",
        "tags",
        "run_name",
        "run_id",
        "run_manager",
        "tool_settings",
        "ls_structured_output_format",
    }
)
"""Arguments of LangChain's own methods: as fields of a body they would not reach a member."""
_OF_CLIENTS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
"""Arguments of the members' clients, which could replace keys and deadlines of the operator."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The parts of a request that every endpoint has: model, knobs and conversation key."""

    settings: RouterSettings
    model: str
    """Name under which the reply goes out: "selectllm/POLICY" or the member's."""
    member: str | None
    thread: str | None
    explain: bool


def read_wish(
    model: str,
    knobs: Knobs | None,
    user: str | None,
    headers: Mapping[str, str],
    settings: ServerSettings,
    served: ServedRouter,
) -> Wish:
    """The router's settings of a request and its conversation.

    Raises:
        ApiError: If the model is unknown, or a knob is refused.
    """
    chosen = with_headers(knobs, headers)
    applied = apply_knobs(chosen, model, settings, served)
    thread = None
    if settings.sticky_threads:
        thread = chosen.sticky_key or headers.get("x-session-id") or user
    is_member = model in served.members
    name, member = f"{MODEL}/{applied.policy}", None
    if is_member:
        name, member = model, model
    return Wish(settings=applied, model=name, member=member, thread=thread, explain=bool(chosen.explain))


def router_call(body: ChatBody, wish: Wish, settings: ServerSettings) -> RouterCall:
    """The call that answers a chat completion request.

    Raises:
        ApiError: If a field cannot be honoured or handed on.
    """
    arguments = _arguments(body, settings)
    tool_settings: dict[str, Any] = {}
    tools = []
    if body.tool_choice != "none":
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    if isinstance(body.tool_choice, ToolChoice):
        tool_settings["tool_choice"] = body.tool_choice.function.name
    elif body.tool_choice == "required":
        tool_settings["tool_choice"] = "any"
    if body.parallel_tool_calls is not None:
        tool_settings["parallel_tool_calls"] = body.parallel_tool_calls
    return RouterCall(
        settings=wish.settings,
        messages=to_messages(body.messages),
        member=wish.member,
        tools=tools,
        tool_settings=tool_settings,
        arguments=arguments,
        thread=wish.thread,
    )


def _check_further(name: str, settings: ServerSettings) -> None:
    """Whether a field that the server does not know may go to the members."""
    if name == "text":
        raise unsupported(name, "text is a field of /v1/responses. Use response_format.")
    if name in _OF_LANGCHAIN or name.startswith("_"):
        raise unsupported(name, f"The field {name} cannot be handed on. Leave it out.")
    allowed = settings.pass_on
    if allowed is None and name in _OF_CLIENTS:
        raise unsupported(name, f"The field {name} is handed on only where the operator lists it (pass_on).")
    if allowed is not None and name not in allowed:
        raise unsupported(
            name, f"The field {name} is unknown, and not among those that the operator hands on (pass_on)."
        )


def _check_form(form: ResponseFormat) -> None:
    if form.json_schema is None or form.json_schema.schema_ is None:
        param = "response_format.json_schema.schema"
        raise invalid(f"Field {param} is missing.", param=param, code="missing_required_parameter")
    check_schema(form.json_schema.schema_, "response_format.json_schema.schema")


def _arguments(body: ChatBody, settings: ServerSettings) -> dict[str, Any]:
    given = body.model_dump(exclude_none=True, by_alias=True)
    for name, silent in _REFUSED_UNLESS.items():
        if given.get(name) not in silent:
            raise unsupported(
                name, f"{name} is not supported, because replies of several members are voted on."
            )
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        if name in HANDED_ON:
            arguments[name] = value
        elif name not in _OWN:
            _check_further(name, settings)
            arguments[name] = value
    form = body.response_format
    if form is not None and form.type != "text":
        if form.type == "json_schema":
            _check_form(form)
        arguments["response_format"] = given["response_format"]
    # LangChain's name for both, which each provider's client translates.
    length = body.max_completion_tokens or body.max_tokens
    if length is not None:
        arguments["max_tokens"] = length
    return arguments

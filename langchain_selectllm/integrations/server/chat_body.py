"""The body of a chat completion request, validated where the server itself depends on it."""

from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_selectllm.integrations.server.errors import ApiError, invalid
from langchain_selectllm.integrations.server.knobs import Knobs

Body = TypeVar("Body", bound=BaseModel)

HANDED_ON = (
    "temperature",
    "top_p",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "metadata",
    "store",
    "prediction",
    "prompt_cache_key",
    "safety_identifier",
    "web_search_options",
)
"""Fields of OpenAI's that the members get as they came."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class Part(_Strict):
    """One part of a message's content: text, image, audio or file."""

    type: str
    text: str | None = None


class CalledFunction(_Strict):
    """A function call of an earlier turn."""

    name: str
    arguments: str = "{}"


class ToolCall(_Strict):
    """A tool call of an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Strict):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class Function(_Strict):
    """A function that members may call."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Strict):
    """A tool that members may call."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Strict):
    """Name of the function to call."""

    name: str


class ToolChoice(_Strict):
    """The one tool that has to be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Strict):
    """What a stream carries besides the reply."""

    include_usage: bool = False


class JsonSchema(_Strict):
    """The schema of a structured reply."""

    name: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(_Strict):
    """The form of the reply."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatBody(_Strict):
    """A chat completion request; fields that are not listed here are in `model_extra`."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    selectllm: Knobs | None = None


def parse_body(raw: bytes, kind: type[Body]) -> Body:
    """The validated body of a request.

    Raises:
        ApiError: With status 400, naming the first field that is wrong.
    """
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not valid JSON: {error}.", code="invalid_json") from None
    if not isinstance(given, dict):
        raise invalid("The body is not a JSON object.", code="invalid_json")
    return validate(given, kind)


def validate(given: dict[str, Any], kind: type[Body]) -> Body:
    """The validated content of a body.

    Raises:
        ApiError: With status 400, naming the first field that is wrong.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _first_problem(error) from None


def _first_problem(error: ValidationError) -> ApiError:
    # Without the input, which may be a prompt.
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ""
    for step in problem["loc"]:
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            place += f".{step}"
    param = place.removeprefix(".")
    if problem["type"] == "extra_forbidden":
        return invalid(f"Field {param} is unknown. Leave it out.", param=param, code="unknown_parameter")
    code = "invalid_value"
    if problem["type"] == "missing":
        code = "missing_required_parameter"
    return invalid(f"Field {param}: {problem['msg']}.", param=param, code=code)

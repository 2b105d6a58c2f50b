"""The schema of objects that members fill, and the unit of the vote over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from langchain_core.messages import AIMessage

from langchain_selectllm.answers.endings import Ending
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.routing.reply_reader import Abstention, Reply, abstention_of, ended
from langchain_selectllm.routing.schemas import Schema, normal_object, tool_of

VoteBy = Literal["fields", "whole"]


@dataclass(frozen=True, eq=False)
class StructuredVote:
    """Schema of the objects and the unit of the vote."""

    schema: Schema
    by: VoteBy = "fields"
    """ "fields": every field goes to its own majority; "whole": equal objects vote together."""
    in_text: bool = False
    """Whether members give objects as JSON text, as a call's `response_format` prescribes."""

    def __post_init__(self) -> None:
        if self.by not in {"fields", "whole"}:
            raise PolicyError(f"vote={self.by!r} is unknown for structured output. Use 'fields' or 'whole'.")

    @cached_property
    def tool(self) -> dict[str, Any]:
        """The tool that members call with their object."""
        return tool_of(self.schema)

    @property
    def response_format(self) -> dict[str, Any]:
        """The argument that stands for the tool with members that have native JSON and no tools."""
        described = {"name": self.tool["name"], "schema": self.tool.get("parameters", {})}
        return {"type": "json_schema", "json_schema": described}

    @cached_property
    def _json_schema(self) -> Mapping[str, Any]:
        if self.in_text and isinstance(self.schema, Mapping):
            return self.schema
        parameters: Mapping[str, Any] = self.tool.get("parameters", {})
        return parameters

    def read(self, reply: Reply) -> Any:
        """Object of a reply, as the schema reads it; None = abstain: no object, a refusal, or not valid.

        A reply without a call gives its object as JSON text, as members without tools do. The arguments of a
        call that was cut off may be valid by chance, and abstain; cut-off text is no JSON.
        """
        ending = ended(reply)
        if not isinstance(reply, AIMessage) or ending is Ending.REFUSED:
            return None
        if reply.tool_calls and ending is Ending.CUT_OFF:
            return None
        given = self._given(reply)
        if given is None:
            return None
        return self.normal(given)

    def abstention_of(self, reply: Reply) -> Abstention:
        """The reason why a reply from which no object was read abstains."""
        reason = abstention_of(reply)
        if reason is not Abstention.UNREADABLE or not isinstance(reply, AIMessage):
            return reason
        if self._given(reply) is None:
            return reason
        return Abstention.INVALID_OBJECT

    def _given(self, reply: AIMessage) -> Any:
        """The object as the reply gives it, valid or not; None without one."""
        if not reply.tool_calls:
            from langchain_selectllm.answers.json_value import read_json

            return read_json(reply.text)
        for call in reply.tool_calls:
            if call["name"] == self.tool["name"]:
                return call["args"]
        return None

    def check(self) -> None:
        """Checks the schema, so that no member is called for objects that nothing can be.

        Raises:
            AnswerError: If the JSON schema is not valid.
        """
        self.normal({})

    def normal(self, value: Any) -> Any:
        """The object as the schema reads it; None where it is not valid."""
        return normal_object(self.schema, self._json_schema, value)

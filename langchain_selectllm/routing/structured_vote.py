"""The schema of objects that members fill, and the unit of the vote over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from langchain_core.messages import AIMessage

from langchain_selectllm.answers.endings import Ending
from langchain_selectllm.answers.json_value import read_json
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.routing.reply_reader import Reply, ended
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

    @cached_property
    def _json_schema(self) -> Mapping[str, Any]:
        if self.in_text and isinstance(self.schema, Mapping):
            return self.schema
        parameters: Mapping[str, Any] = self.tool.get("parameters", {})
        return parameters

    def read(self, reply: Reply) -> Any:
        """Object of a reply, as the schema reads it; None = abstain: no object, a refusal, or not valid.

        The arguments of a call that was cut off may be valid by chance, and abstain; cut-off text is no JSON.
        """
        ending = ended(reply)
        if not isinstance(reply, AIMessage) or ending is Ending.REFUSED:
            return None
        if self.in_text and not reply.tool_calls:
            return self.normal(read_json(reply.text))
        if ending is Ending.CUT_OFF:
            return None
        for call in reply.tool_calls:
            if call["name"] == self.tool["name"]:
                return self.normal(call["args"])
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

"""Structured output: members fill one schema, their objects are voted on, the winner is parsed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal, Protocol, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import tool_call
from langchain_core.output_parsers import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import override

from langchain_selectllm.answers.json_value import canonical_json
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.election import UNANSWERED, Ballot
from langchain_selectllm.routing.output_parser import VotingOutputParser
from langchain_selectllm.routing.schemas import Schema, normal_object, tool_of
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.field_votes import FieldVote
from langchain_selectllm.voting.tally import Tally

VoteBy = Literal["fields", "whole"]
# Swallowed, as by LangChain's own default: members are asked through a tool, whatever the method.
_IGNORED = frozenset({"method", "strict"})


@dataclass(frozen=True, eq=False)
class StructuredVote:
    """What objects are asked for and how they are voted on."""

    schema: Schema
    by: VoteBy = "fields"
    """ "fields": every field goes to its own majority; "whole": equal objects vote together."""

    def __post_init__(self) -> None:
        if self.by not in {"fields", "whole"}:
            raise PolicyError(f"vote={self.by!r} is unknown for structured output. Use 'fields' or 'whole'.")

    @cached_property
    def tool(self) -> dict[str, Any]:
        """The tool that members call with their object."""
        return tool_of(self.schema)

    def read(self, reply: AIMessage) -> Any:
        """The object of a reply, as the schema reads it; None = abstain: no call, or not valid."""
        name = self.tool["name"]
        given = next((call["args"] for call in reply.tool_calls if call["name"] == name), None)
        return None if given is None else self.normal(given)

    def normal(self, given: Any) -> Any:
        """The object as the schema reads it; None where it is not valid."""
        return normal_object(self.schema, self.tool.get("parameters", {}), given)


@dataclass(frozen=True)
class ObjectTally(Tally):
    """A decided vote over objects."""

    fields: Mapping[str, float] | None = None
    """Support of each field's value, by dotted path; None where whole objects were voted on."""
    value: Any = None
    """The object that won."""


class ObjectBallot(Ballot):
    """The vote over one prompt's objects; objects that are not valid abstain."""

    def __init__(
        self,
        decision: Decision,
        parser: VotingOutputParser,
        pool: PoolStatistics,
        registry: ModelRegistry,
        rule: ConfidenceRule | None,
        structure: StructuredVote,
    ) -> None:
        super().__init__(decision, parser, pool, registry, rule)
        self._structure = structure
        self._objects: dict[int, Any] = {}

    def _is_settled(self, replies: Mapping[int, AIMessage], outstanding: Sequence[int]) -> bool:
        """Whether the outstanding members can change neither the object nor any of its fields."""
        if self._structure.by == "whole":
            return super()._is_settled(replies, outstanding)
        objects = self._valid(replies)
        election = self._election(outstanding)
        if objects:
            election.elect(objects)
        return bool(objects) and election.decided

    def count(self, replies: Mapping[int, AIMessage]) -> ObjectTally:
        """The tally of the objects.

        Where the fields that won do not make a valid object together, whole objects are voted on, and the tally says so.
        """
        objects = self._valid(replies)
        whole = super().count(replies)
        if whole.answer is None or whole.winner is None:
            return ObjectTally(**vars(whole))
        as_whole = ObjectTally(**vars(whole), value=objects[self._decision.members.index(whole.winner)])
        # A judge and an authority choose among the objects that members gave.
        if self._structure.by == "whole" or whole.decided_by in {"judge", "escalation"}:
            return as_whole
        election, instead = self._election(), None if self.case is None else self.case.decided_by
        instead = UNANSWERED if whole.decided_by == UNANSWERED else instead
        value = self._structure.normal(election.elect(objects))
        if value is None:
            return replace(
                as_whole,
                decided_by=instead or "whole objects, because the fields that won are not valid together",
            )
        return replace(
            as_whole,
            answer=canonical_json(value),
            winner=self._decision.members[self._nearest(objects, value)],
            support=min(election.supports.values(), default=1.0),
            decided_by=instead or ("tie rule" if election.tied else "vote"),
            supporters=tuple(name for name, own in whole.answers.items() if own == canonical_json(value)),
            vote=f"{whole.vote} by field",
            # What was learned tells how far whole answers can be trusted, not objects put together from several.
            confidence=whole.confidence if canonical_json(value) == whole.answer else None,
            fields=election.supports,
            value=value,
        )

    def elected(self, message: AIMessage, counted: Tally) -> AIMessage:
        """The winner's own message; one with the elected object alone where no member gave exactly that."""
        if not isinstance(counted, ObjectTally) or counted.value is None:
            return message
        own = self._structure.read(message)
        if own is not None and canonical_json(own) == counted.answer and len(message.tool_calls) == 1:
            return message
        call = tool_call(
            name=self._structure.tool["name"], args=counted.value, id=message.tool_calls[0]["id"]
        )
        return AIMessage("", tool_calls=[call], id=message.id, response_metadata=message.response_metadata)

    def told(self, counted: Tally) -> dict[str, Any]:
        """What the metadata says about the vote, and each field's support."""
        fields = counted.fields if isinstance(counted, ObjectTally) else None
        return {**super().told(counted), "fields": None if fields is None else dict(fields)}

    def _read(self, replies: Mapping[int, AIMessage]) -> list[str | None]:
        objects = self._valid(replies)
        return [canonical_json(objects[k]) if k in objects else None for k in sorted(replies)]

    def _valid(self, replies: Mapping[int, AIMessage]) -> dict[int, Any]:
        for k in replies.keys() - self._objects.keys():
            self._objects[k] = self._structure.read(replies[k])
        return {k: self._objects[k] for k in sorted(replies) if self._objects[k] is not None}

    def _election(self, outstanding: Sequence[int] = ()) -> FieldVote:
        decision = self._decision
        return FieldVote(
            self._vote, decision.members, decision.vote_probabilities, self._latencies(), outstanding
        )

    def _nearest(self, objects: Mapping[int, Any], value: Mapping[str, Any]) -> int:
        """The member with most of the fields that won; the most probable of several."""

        def shared(k: int) -> int:
            return sum(
                canonical_json(objects[k].get(name)) == canonical_json(item) for name, item in value.items()
            )

        return max(objects, key=lambda k: (shared(k), self._decision.vote_probabilities[k], -k))


class BindsTools(Protocol):
    """A chat model, or what stands for one."""

    def bind_tools(
        self, tools: list[Any], *, tool_choice: str, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools."""
        ...


class _ObjectParser(JsonOutputKeyToolsParser):
    """The object of a call as it is, once it is what the schema asks for; parts of it while it is streamed."""

    normal: Callable[[Any], Any]

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        given = super().parse_result(result, partial=partial)
        is_part = (
            partial and getattr(cast("ChatGeneration", result[0]).message, "chunk_position", None) != "last"
        )
        if given is None or is_part or self.normal(given) is not None:
            return given
        raise OutputParserException(
            f"No member gave an object that is what {self.key_name} asks for; the winner's is {given!r}."
        )


def parsed(
    model: BindsTools, structure: StructuredVote, *, include_raw: bool, ignored: Mapping[str, Any]
) -> Runnable[LanguageModelInput, Any]:
    """The model made to call the schema's tool, and its call parsed, as LangChain's chat models do it.

    Args:
        model: Votes as `structure` says.
        structure: What objects are asked for.
        include_raw: Whether the message is returned too, and parsing errors instead of being raised.
        ignored: Further arguments that were given.

    Raises:
        ValueError: If there are arguments that mean nothing here.
        ToolSupportError: If no member can call tools.
    """
    if unknown := sorted(ignored.keys() - _IGNORED):
        raise ValueError(
            f"with_structured_output got {', '.join(unknown)}. It takes schema, include_raw, vote, method and strict."
        )
    schema = structure.schema
    told = {"kwargs": {"method": "function_calling"}, "schema": schema}
    asked = model.bind_tools([schema], tool_choice="any", ls_structured_output_format=told)
    parser: JsonOutputKeyToolsParser | PydanticToolsParser
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = PydanticToolsParser(tools=[schema], first_tool_only=True)
    else:
        parser = _ObjectParser(key_name=structure.tool["name"], first_tool_only=True, normal=structure.normal)
    if not include_raw:
        return asked | parser
    done = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asked) | done.with_fallbacks([failed], exception_key="parsing_error")

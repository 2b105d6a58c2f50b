"""The election of an object: members fill one schema; the vote is on whole objects or on fields."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import tool_call
from typing_extensions import override

from langchain_selectllm.answers.json_value import canonical_json
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.election_terms import ElectionTerms
from langchain_selectllm.routing.reply_reader import Abstention, Reply, calls_tools
from langchain_selectllm.routing.structured_vote import StructuredVote
from langchain_selectllm.voting.call_numbers import in_pool_order, members_of
from langchain_selectllm.voting.field_votes import FieldVote
from langchain_selectllm.voting.tally import DecidedBy, Tally

FIELDS_INVALID = "because the fields that won are not valid together"


class ObjectElection(Election):
    """The vote over one prompt's objects; objects that are not valid abstain."""

    def __init__(self, terms: ElectionTerms, structure: StructuredVote) -> None:
        """Start without replies."""
        super().__init__(terms)
        self._structure = structure
        self._objects: dict[int, Any] = {}
        self._elected: Any = None
        self._fields: Mapping[str, float] | None = None

    @override
    def elected_message(self, message: AIMessage) -> AIMessage:
        """The winner's own message; one with the elected object alone where no member gave exactly that."""
        counted = self.tally()
        if self._elected is None:
            return message
        own = self._structure.read(message)
        if own is not None and canonical_json(own) == counted.answer and self._holds_object_alone(message):
            return message
        if self._structure.in_text or not message.tool_calls:
            text = json.dumps(self._elected, ensure_ascii=False)
            return AIMessage(text, id=message.id, response_metadata=message.response_metadata)
        name = self._structure.tool["name"]
        call = tool_call(name=name, args=self._elected, id=message.tool_calls[0]["id"])
        return AIMessage("", tool_calls=[call], id=message.id, response_metadata=message.response_metadata)

    def _holds_object_alone(self, message: AIMessage) -> bool:
        """Whether the message is nothing but its object, so that parsers read the same one from it."""
        if message.tool_calls and not self._structure.in_text:
            return len(message.tool_calls) == 1
        try:
            json.loads(message.text)
        except ValueError:
            return False
        return True

    @override
    def metadata(self) -> dict[str, Any]:
        """The vote as plain JSON, with each field's support; None where whole objects were voted on."""
        metadata = super().metadata()
        metadata["fields"] = None
        if self._fields is not None:
            metadata["fields"] = dict(self._fields)
        return metadata

    @override
    def _read(self, call: int, reply: Reply) -> str | None:
        value = self._structure.read(reply)
        if value is None and self._structure.in_text and calls_tools(reply):
            # A step of an agent on its way to the object.
            return super()._read(call, reply)
        if value is None:
            return None
        self._objects[call] = value
        return canonical_json(value)

    @override
    def _abstention(self, reply: Reply) -> Abstention:
        return self._structure.abstention_of(reply)

    @override
    def _is_vote_settled(self, outstanding: Sequence[int]) -> bool:
        """Whether the outstanding members can change neither the object nor any of its fields."""
        whole = super()._is_vote_settled(outstanding)
        if self._structure.by == "whole" or (self._structure.in_text and not whole):
            # An outstanding member may call a tool instead of giving an object.
            return whole
        if not self._objects:
            return self._structure.in_text
        fields = self._field_vote(outstanding)
        fields.elect(self._objects)
        return fields.settled

    @override
    def _count(self) -> Tally:
        """The tally of the objects.

        Whole objects are voted on where the winning fields do not make a valid object together.
        """
        whole = super()._count()
        self._elected = self._fields = None
        if whole.answer is None or whole.winner is None:
            return whole
        self._elected = self._objects.get(self._first_call(whole))
        if self._elected is None:
            return whole
        whole = replace(whole, open_ended=True)
        # A judge and an authority choose among the objects that members gave.
        if self._structure.by == "whole" or whole.decided_by in (DecidedBy.JUDGE, DecidedBy.ESCALATION):
            return whole
        fields = self._field_vote()
        value = self._structure.normal(fields.elect(self._objects_in_pool_order()))
        if value is not None:
            self._elected, self._fields = value, fields.supports
            return self._by_fields(whole, fields, value)
        if whole.note is None:
            return replace(whole, decided_by=DecidedBy.WHOLE_OBJECTS, note=FIELDS_INVALID)
        return whole

    def _by_fields(self, whole: Tally, fields: FieldVote, value: Mapping[str, Any]) -> Tally:
        answer = canonical_json(value)
        decided_by = DecidedBy.VOTE
        if fields.tied and whole.note is None:
            decided_by = DecidedBy.TIE_RULE
        confidence = None
        # Learned confidences are about answers that members gave, not about combined objects.
        if answer == whole.answer:
            confidence = whole.confidence
        return replace(
            whole,
            answer=answer,
            winner=self.terms.members[self._nearest(value) % self._n_members],
            support=min(fields.supports.values(), default=1.0),
            decided_by=decided_by,
            supporters=tuple(name for name, own in whole.answers.items() if own == answer),
            vote=f"{whole.vote} by field",
            confidence=confidence,
        )

    def _field_vote(self, outstanding: Sequence[int] = ()) -> FieldVote:
        terms = self.terms
        latencies = terms.latencies
        if latencies is None:
            latencies = np.full(len(terms.members), np.nan)
        return FieldVote(
            vote=terms.vote,
            members=terms.members,
            probabilities=terms.probabilities,
            latencies=latencies,
            outstanding=members_of(outstanding, self._n_members),
        )

    def _objects_in_pool_order(self) -> dict[int, Any]:
        return {call: self._objects[call] for call in in_pool_order(self._objects, self._n_members)}

    def _nearest(self, value: Mapping[str, Any]) -> int:
        """Call with most of the fields that won; of several that of the most probable member."""

        def preference(call: int) -> tuple[int, float, int]:
            shared, member = 0, call % self._n_members
            for name, item in value.items():
                shared += canonical_json(self._objects[call].get(name)) == canonical_json(item)
            return shared, float(self.terms.probabilities[member]), -call

        return max(self._objects, key=preference)

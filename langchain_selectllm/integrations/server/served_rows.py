"""Rows of the store of a server, with as much of prompts and replies as the operator lets in."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from langchain_selectllm.answers.token_probabilities import TokenProbabilities, read_token_probabilities
from langchain_selectllm.collection.rows import storable
from langchain_selectllm.integrations.server.adapter import RouterCall, ServedRouter
from langchain_selectllm.integrations.server.decision import Reported

_KEPT = (
    "probabilities",
    "selection",
    "left_out",
    "winner",
    "supporters",
    "open_ended",
    "support",
    "confidence",
    "calls",
    "rounds",
    "latencies_s",
    "cost_usd",
    "topped_up",
    "held_back",
    "cancelled",
    "abstained",
    "usage",
)
_SAMPLES = 2**31
"""Samples are numbered at random below this, so that processes need not know of each other."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answered request, as the observers of a server hear of it."""

    served: ServedRouter
    call: RouterCall
    reported: Reported
    replies: Mapping[str, AIMessage] = field(default_factory=dict)
    """Replies by member; empty where no observer needs them."""

    @property
    def is_outcome(self) -> bool:
        """Whether the text routed on is the whole question, so that the replies are outcomes of it."""
        if self.call.tools or "response_format" in self.call.arguments or self.call.member is not None:
            return False
        humans = [message for message in self.call.messages if isinstance(message, HumanMessage)]
        return len(humans) == 1 and bool(self.reported.metadata["text"].strip())


@dataclass(frozen=True, kw_only=True)
class KeptReply:
    """One member's reply as an outcome."""

    member: str
    text: str
    model_name: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    latency_s: float | None
    token_probabilities: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """One decision for the store."""

    decision_id: str
    artefact: str
    policy: str
    decision: Mapping[str, Any]
    text: str
    """Text routed on; saved only where `query_id` is set."""
    served_at: float = field(default_factory=time.time)
    shadow_of: str | None = None
    agrees: bool | None = None
    query_id: str | None = None
    answer_type: str | None = None
    replies: Sequence[KeptReply] = ()

    @property
    def sample(self) -> int:
        """Number of this request among those with the same text."""
        return int(hashlib.sha256(self.decision_id.encode()).hexdigest()[:8], 16) % _SAMPLES


def decision_row(
    answered: Answered, *, keep_prompts: bool, shadow_of: str | None = None, agrees: bool | None = None
) -> DecisionRow:
    """The row of an answered request."""
    reported, text = answered.reported, answered.reported.metadata["text"]
    row = DecisionRow(
        decision_id=reported.decision_id,
        artefact=answered.served.digest,
        policy=reported.policy,
        decision=kept_metadata(reported.metadata, keep_answers=keep_prompts),
        text=text,
        shadow_of=shadow_of,
        agrees=agrees,
    )
    if not (keep_prompts and answered.is_outcome):
        return row
    return _with_outcomes(row, answered)


def _with_outcomes(row: DecisionRow, answered: Answered) -> DecisionRow:
    query_id = f"served-{hashlib.sha256(row.text.encode('utf-8', 'replace')).hexdigest()[:32]}"
    kind = answered.served.answer_type
    replies = [_kept_reply(name, answered) for name in answered.replies]
    return DecisionRow(**{**vars(row), "query_id": query_id, "answer_type": kind, "replies": replies})


def _kept_reply(name: str, answered: Answered) -> KeptReply:
    message = answered.replies[name]
    figures = read_token_probabilities(
        message.response_metadata, answered.reported.metadata["answers"].get(name)
    )
    usage: Mapping[str, Any] = message.usage_metadata or {}
    return KeptReply(
        member=name,
        text=message.text,
        model_name=message.response_metadata.get("model_name"),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        cost_usd=answered.served.cost_usd(name, message),
        latency_s=answered.reported.metadata["latencies_s"].get(name),
        token_probabilities=_fields(figures),
    )


def _fields(figures: TokenProbabilities | None) -> Mapping[str, Any] | None:
    if figures is None:
        return None
    return figures.to_fields()


def kept_metadata(metadata: Mapping[str, Any], *, keep_answers: bool) -> dict[str, Any]:
    """The routing metadata without the prompt, and with answers numbered unless they may be kept."""
    kept = {name: metadata[name] for name in _KEPT}
    vote = metadata["vote"]
    kept["vote"] = {"strategy": vote["strategy"], "decided_by": vote["decided_by"]}
    kept["failures"] = {name: failure["error"] for name, failure in metadata["failures"].items()}
    answers = dict(metadata["answers"])
    answer = metadata["answer"]
    if keep_answers:
        answers = {name: storable(given) for name, given in answers.items()}
        answer = storable(answer)
    else:
        numbers = _numbered([*answers.values(), answer])
        answers = {name: numbers.get(given) for name, given in answers.items()}
        answer = numbers.get(answer)
    return {**kept, "answers": answers, "answer": answer}


def _numbered(answers: Sequence[str | None]) -> dict[str | None, str]:
    """A number for each different answer; none for an abstention."""
    numbers: dict[str | None, str] = {}
    for answer in answers:
        if answer is not None:
            numbers.setdefault(answer, f"answer {len(numbers) + 1}")
    return numbers

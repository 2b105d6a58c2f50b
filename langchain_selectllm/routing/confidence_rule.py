"""Rule for answers below a least confidence: selective prediction, abstention or escalation."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import LowConfidenceError, MemberMismatchError, PolicyError

_ACTIONS = ("raise", "abstain")


def check_below_confidence(below: str, members: Sequence[str]) -> None:
    """Checks the action below the least confidence.

    Raises:
        MemberMismatchError: If it is neither an action nor a member.
    """
    if below not in _ACTIONS and below not in members:
        raise MemberMismatchError(
            f"below_confidence is {below!r}. Use 'raise', 'abstain', or one of the members "
            f"{', '.join(members)}."
        )


@dataclass(frozen=True)
class ConfidenceRule:
    """Least confidence that an answer needs, and the action below it."""

    minimum: float
    below: str
    """Either "raise", "abstain", or the name of the member whose answer is taken instead."""

    def check(self, *, learned: bool) -> None:
        """Checks that the rule can be applied.

        Args:
            learned: Whether there is a learned vote, which estimates confidences.

        Raises:
            PolicyError: If the minimum is no probability, or there is no learned vote.
        """
        if not 0.0 <= self.minimum <= 1.0:
            raise PolicyError(f"min_confidence is {self.minimum!r}. Use a probability between 0 and 1.")
        if not learned:
            raise PolicyError(
                "min_confidence needs a learned vote, and this artefact has none. Fit on outcomes with "
                "replies."
            )

    def escalates_to(self, members: Sequence[str]) -> int | None:
        """Index of the member whose answer is taken instead; None when the rule names none."""
        if self.below in _ACTIONS:
            return None
        return list(members).index(self.below)

    def apply(self, message: AIMessage) -> AIMessage:
        """The message, or below the least confidence an empty message marked `abstained`.

        Raises:
            LowConfidenceError: If the confidence is below the minimum and the action is to raise.
        """
        vote = message.response_metadata["selectllm"]
        confidence = vote["confidence"] or 0.0
        if self.below not in _ACTIONS or confidence >= self.minimum:
            return message
        if self.below == "raise":
            raise LowConfidenceError(
                f"The answer {vote['answer']!r} has confidence {confidence:.3f}, less than "
                f"min_confidence={self.minimum:g}. The message is in .reply; lower min_confidence, or set "
                "below_confidence to 'abstain' or a member.",
                reply=message,
                confidence=confidence,
            )
        metadata = {**message.response_metadata, "selectllm": {**vote, "abstained": True}}
        # Some providers keep the raw tool calls there, and parsers fall back to them.
        kept = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
        emptied = {"content": "", "tool_calls": [], "invalid_tool_calls": [], "additional_kwargs": kept}
        return message.model_copy(update={**emptied, "response_metadata": metadata})

"""What happens to an answer that is not sure enough."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import LowConfidenceError, MemberMismatchError, PolicyError

_ACTIONS = ("raise", "abstain")


@dataclass(frozen=True)
class ConfidenceRule:
    """The least confidence that an answer needs, and what to do with one that has less."""

    minimum: float
    below: str
    """Either "raise", "abstain", or the name of the member whose answer is taken instead."""

    def check(self, members: Sequence[str], *, learned: bool) -> None:
        """Whether the rule can be applied.

        Args:
            members: Members of the pool.
            learned: Whether there is a learned vote, which is what tells confidences.

        Raises:
            PolicyError: If the minimum is no probability, or nothing was learned that tells confidences.
            MemberMismatchError: If the member to escalate to is unknown.
        """
        if not 0.0 <= self.minimum <= 1.0:
            raise PolicyError(f"min_confidence is {self.minimum!r}. Use a probability between 0 and 1.")
        if not learned:
            raise PolicyError(
                "min_confidence needs a learned vote, and this artefact has none. Fit on outcomes with replies."
            )
        if self.below not in _ACTIONS and self.below not in members:
            raise MemberMismatchError(
                f"below_confidence is {self.below!r}. Use 'raise', 'abstain', or one of the members {', '.join(members)}."
            )

    def escalates_to(self, members: Sequence[str]) -> int | None:
        """Index of the member whose answer is taken instead; None when the rule names none."""
        return None if self.below in _ACTIONS else list(members).index(self.below)

    def apply(self, message: AIMessage) -> AIMessage:
        """The message, or what the rule makes of it: an error, or an empty message marked `abstained`.

        Raises:
            LowConfidenceError: If the confidence is below the minimum and the rule is to raise.
        """
        told = message.response_metadata["selectllm"]
        confidence = told["confidence"] or 0.0
        if self.below not in _ACTIONS or confidence >= self.minimum:
            return message
        if self.below == "raise":
            raise LowConfidenceError(
                f"The answer {told['answer']!r} has confidence {confidence:.3f}, less than min_confidence={self.minimum:g}. "
                "The message is in .reply; lower min_confidence, or set below_confidence to 'abstain' or a member.",
                reply=message,
                confidence=confidence,
            )
        metadata = {**message.response_metadata, "selectllm": {**told, "abstained": True}}
        # Providers leave what they were sent there, and parsers fall back to it.
        kept = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
        emptied = {"content": "", "tool_calls": [], "invalid_tool_calls": [], "additional_kwargs": kept}
        return message.model_copy(update={**emptied, "response_metadata": metadata})

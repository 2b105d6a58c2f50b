"""What decides before the calls and merges after them, whoever makes the calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.fanout.parallel import CallPlan
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.prompts import TextOf, prompt_messages
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.routing.decision import Decision, decide_all
from langchain_selectllm.routing.election import Ballot, merge
from langchain_selectllm.routing.output_parser import VotingOutputParser
from langchain_selectllm.routing.sticky import StickyThreads, thread_of
from langchain_selectllm.routing.structured_output import ObjectBallot, StructuredVote
from langchain_selectllm.selection.policies import Policy
from langchain_selectllm.selection.policy_names import policy_name


@dataclass(frozen=True, eq=False)
class Engine:
    """The settings of a router at work; Runnable, chat model and middleware share it."""

    classifier: SelectLLMClassifier
    policy: Policy
    models: ModelRegistry
    parser: VotingOutputParser
    text_of: TextOf
    deadline_s: float | None
    min_replies: int | None
    early_stop: bool
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Members that are never called, with the reason."""
    rule: ConfidenceRule | None = None
    """The least confidence that an answer needs; any will do when None."""
    structure: StructuredVote | None = None
    """What objects are voted on; answers are when None."""
    max_calls: int | None = None
    """Most calls of members for one prompt; no bound when None."""
    sticky: StickyThreads | None = None
    """Which members a thread keeps; decided anew at every turn when None."""

    def decide(
        self, prompts: Sequence[LanguageModelInput], configs: Sequence[RunnableConfig] | None = None
    ) -> list[Decision]:
        """Whom to call for each prompt; all prompts are encoded at once.

        Args:
            prompts: Whatever a chat model accepts.
            configs: One a prompt, which may name its thread; nothing is remembered of threads without them.

        Raises:
            TypeError: If something is no prompt, or `text_of` returns no text of it.
        """
        said = [prompt_messages(prompt) for prompt in prompts]
        decided = decide_all(self.classifier, self.policy, [self._text(messages) for messages in said])
        if self.sticky is None or configs is None:
            able = [decision.without(self.left_out) for decision in decided]
        else:
            threads = [thread_of(config, messages) for config, messages in zip(configs, said, strict=True)]
            able = [self.sticky.turn(*turn, self.left_out) for turn in zip(threads, decided, strict=True)]
        return [decision.at_most(self.max_calls) for decision in able]

    def _text(self, messages: Sequence[BaseMessage]) -> str:
        text = self.text_of(messages)
        if isinstance(text, str):
            return text
        raise TypeError(
            f"text_of returned {text!r}. Let it return a string; an empty one is routed by base rates."
        )

    def plan(self, decision: Decision) -> tuple[CallPlan, Ballot]:
        """Whom to call next and when to stop, and the vote over what comes back."""
        given = (decision, self.parser, self.classifier.pool, self.models, self.rule)
        ballot = Ballot(*given) if self.structure is None else ObjectBallot(*given, self.structure)
        enough = (len(decision.selected) + 1) // 2 if self.min_replies is None else self.min_replies
        is_decided: Callable[..., bool] = ballot.is_decided if self.early_stop else lambda *_: False
        asked = (decision.selected, decision.reserve, enough, is_decided, ballot.next_round)
        return CallPlan(*asked, is_slow=ballot.is_slow, max_calls=self.max_calls), ballot

    def merge(self, decision: Decision, plan: CallPlan, ballot: Ballot) -> AIMessage:
        """The winning message.

        Raises:
            FanOutError: If no member replied.
            LowConfidenceError: If the confidence rule says so.
        """
        message = merge(decision, plan, ballot, self.models, policy=policy_name(self.policy))
        return message if self.rule is None else self.rule.apply(message)

    def is_final(self, decision: Decision) -> bool:
        """Whether the one chosen member's reply is the answer whatever it says, so that it can be streamed as it comes."""
        return len(decision.selected) == 1 and decision.further is None and self.rule is None

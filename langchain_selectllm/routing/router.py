"""The router: one prompt in, a few members asked in parallel, the voted answer out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.utils import AnyConfigurableField
from pydantic import ConfigDict, Field
from typing_extensions import override

from langchain_selectllm.answers.auto import EXTRACTOR_NAMES
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import AnswerError, OutcomeError, PolicyError
from langchain_selectllm.members.registry import ChatModel, Member, ModelRegistry
from langchain_selectllm.members.tool_binding import BoundTools, Tools, bind_registry
from langchain_selectllm.prompts import TextOf, last_human_text
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.routing.decision import Decision, decide_all
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.feedback import FeedbackLog, Given
from langchain_selectllm.routing.output_parser import VotingOutputParser
from langchain_selectllm.routing.runnable import EngineRunnable
from langchain_selectllm.routing.schemas import Schema
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.routing.structured_output import StructuredVote, VoteBy, parsed
from langchain_selectllm.selection.policies import Policy, WeightedMaxConf
from langchain_selectllm.selection.policy_names import parse_policy

if TYPE_CHECKING:
    from langchain_selectllm.routing.configurable import ConfigurableRouter


def _parser_of_classifier(fields: dict[str, Any]) -> VotingOutputParser:
    kind = fields["classifier"].summary.answer_type
    if kind not in EXTRACTOR_NAMES:
        raise AnswerError(
            f"The classifier was trained with an answer extractor of its author's ({kind!r}). Pass "
            "parser=VotingOutputParser(answer=...) with that extractor or callable."
        )
    return VotingOutputParser(answer=kind)


class SelectLLMRouter(EngineRunnable):
    """Stands where a chat model stood: asks the members that will answer right, and returns the message that wins the vote.

    The reply is the winning member's own message. `response_metadata["selectllm"]` holds, as plain JSON, what was decided
    and why: probabilities, selection, answers, vote, support, failures, latencies, calls and cost. `usage_metadata` is the
    sum over all replies.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    classifier: SelectLLMClassifier
    """Fitted; predicts which members answer a prompt correctly."""
    models: ModelRegistry
    """The members; a plain dict of chat models by name will do."""
    policy: Policy = Field(default_factory=WeightedMaxConf)
    """Turns probabilities into a selection; a name such as "weighted_max_conf:3" will do."""
    parser: VotingOutputParser = Field(default_factory=_parser_of_classifier)
    """Reads answers and votes; by default it reads what most training replies were read as."""
    deadline_s: float | None = None
    """Seconds that one member's call may take; a late member counts as failed."""
    min_replies: int | None = None
    """Further members are called when failures leave fewer possible replies; half the selection, rounded up, when None."""
    max_calls: int | None = None
    """Most calls of members for one prompt, whatever the policy, failures and confidence ask for; no bound when None."""
    early_stop: bool = True
    """Whether outstanding calls are given up once they cannot change the winner."""
    min_confidence: float | None = None
    """Least calibrated confidence that an answer needs; any will do when None."""
    below_confidence: str = "raise"
    """What to do below it: "raise", "abstain" (an empty message, marked), or take the answer of the member of that name."""
    text_of: TextOf = last_human_text
    """Which text of the prompt's messages is routed on: `last_human_text`, `whole_transcript`, or your own."""
    sticky: StickyThreads | None = Field(default=None, repr=False, exclude=True)
    """Lets the members chosen at a thread's first turn answer the later ones too; chosen anew at every turn when None."""
    feedback_log: FeedbackLog | None = Field(default=None, repr=False, exclude=True)
    """Where `feedback` is kept."""
    bound: BoundTools | None = Field(default=None, repr=False, exclude=True)
    """The members with tools bound; `bind_tools` sets it."""
    structure: StructuredVote | None = Field(default=None, repr=False, exclude=True)
    """What objects are voted on instead of answers; `with_structured_output` sets it."""

    def __init__(self, **kwargs: Any) -> None:
        """Check at once that classifier, models and policy belong together.

        Raises:
            MemberMismatchError: If the models are not exactly the classifier's members.
            PolicyError: If the policy is unknown or does not fit the pool, `max_calls` is below 1, or the confidence rule
                cannot be applied.
        """
        # Not in validators: pydantic would wrap these errors in its own.
        models, policy = kwargs.get("models"), kwargs.get("policy")
        if isinstance(models, Mapping) and not isinstance(models, ModelRegistry):
            kwargs["models"] = ModelRegistry(models)
        if isinstance(policy, str):
            kwargs["policy"] = parse_policy(policy)
        super().__init__(**kwargs)
        if self.max_calls is not None and self.max_calls < 1:
            raise PolicyError(f"max_calls is {self.max_calls}. Use at least 1, or None for no bound.")
        self.models.check_covers(self.classifier.members)
        decide_all(self.classifier, self.policy, [""])
        if self._rule is not None:
            self._rule.check(self.classifier.members, learned=self.classifier.pool.vote is not None)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, models: Mapping[str, ChatModel | Member], **kwargs: Any
    ) -> Self:
        """The router over a saved classifier.

        Args:
            folder: What `selectllm train` or `save_pretrained` wrote.
            models: Chat models by name; exactly the members of the classifier.
            kwargs: Any field of the router, such as `policy` and `parser`.

        Raises:
            ArtefactError: If the folder cannot be trusted or read.
            MemberMismatchError: If the models are not the classifier's members.
        """
        return cls(
            classifier=SelectLLMClassifier.from_pretrained(folder), models=ModelRegistry(models), **kwargs
        )

    def decide(self, prompt: LanguageModelInput) -> Decision:
        """Whom the router would call for the prompt, and why, as at the first turn of a thread; calls nobody."""
        return self.engine.decide([prompt])[0]

    def bind_tools(
        self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same router with tools bound on every member that can call tools; the others leave the selection, by name.

        Members vote with the calls they make, names and arguments. Tools bound before are replaced.

        Args:
            tools: What any chat model's `bind_tools` takes.
            tool_choice: The tool to use; "any" for any of them.
            kwargs: Passed on to the members' `bind_tools`.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        return self.with_tools(tools, tool_choice=tool_choice, **kwargs)

    def with_tools(self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any) -> Self:
        """What `bind_tools` returns, known to be a router."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.model_copy(update={"bound": bind_registry(self.models, tools, **kwargs)})

    def with_structured_output(
        self, schema: Schema, *, include_raw: bool = False, vote: VoteBy = "fields", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that returns the object that members fill `schema` with, voted on.

        Args:
            schema: A pydantic class, a TypedDict, or a JSON schema with a title. Objects that are not valid abstain.
            include_raw: Whether to return a dict of the message ("raw"), the object ("parsed") and "parsing_error".
            vote: "fields" for a vote on every field, "whole" for a vote of equal objects.
            kwargs: `method` and `strict` are accepted and mean nothing: every member is asked through a tool.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        structure = StructuredVote(schema, vote)
        voting = self.model_copy(update={"structure": structure})
        return parsed(voting, structure, include_raw=include_raw, ignored=kwargs)

    @override
    def configurable_fields(self, **kwargs: AnyConfigurableField) -> "ConfigurableRouter":
        """The same router with fields that a request may set, through `configurable` of its config.

        Args:
            kwargs: A `ConfigurableField` for each field's name.

        Raises:
            ValueError: If there is no such field.
        """
        from langchain_selectllm.routing.configurable import ConfigurableRouter

        super().configurable_fields(**kwargs)
        return ConfigurableRouter(default=self, fields=kwargs)

    def as_chat_model(self, **kwargs: Any) -> BaseChatModel:
        """The `ChatSelectLLM` over this router, for places that ask for a `BaseChatModel`."""
        # Not in the signature: LangChain's fallbacks read it to find out what they wrap, and know nothing of lazy imports.
        from langchain_selectllm.routing.chat_model import ChatSelectLLM

        return ChatSelectLLM(router=self, **kwargs)

    def feedback(self, given: Given, score: float, **fields: Any) -> dict[str, float]:
        """Keep a score of a final answer as outcomes in `feedback_log`; see `FeedbackLog.add`.

        Args:
            given: The router's message, the decision for one member, or the id of a run that the log saw as a callback.
            score: Worth of the answer in [0, 1].
            fields: More to keep beside it, such as `comment`.

        Returns:
            The score that each member got.

        Raises:
            OutcomeError: If the router has no log, the score is out of range, or it cannot be told who gave the answer.
        """
        if self.feedback_log is None:
            raise OutcomeError(
                "The router has no feedback_log. Pass feedback_log=FeedbackLog(folder) when you make it."
            )
        return self.feedback_log.add(given, score, **fields)

    @property
    @override
    def engine(self) -> Engine:
        """What decides and merges, as the fields say now."""
        return Engine(
            classifier=self.classifier,
            policy=self.policy,
            models=self.models if self.bound is None else self.bound.models,
            parser=self.parser,
            text_of=self.text_of,
            deadline_s=self.deadline_s,
            min_replies=self.min_replies,
            early_stop=self.early_stop,
            left_out={} if self.bound is None else self.bound.left_out,
            rule=self._rule,
            structure=self.structure,
            max_calls=self.max_calls,
            sticky=self.sticky,
        )

    @property
    def _rule(self) -> ConfidenceRule | None:
        return (
            None
            if self.min_confidence is None
            else ConfidenceRule(self.min_confidence, self.below_confidence)
        )

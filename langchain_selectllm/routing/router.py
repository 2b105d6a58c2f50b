"""The router: a few members of a pool answer a prompt in parallel, and their vote is returned."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

# First: langsmith takes some 50 ms more where it is imported from the depth of langchain_core (CPython 3.11).
import langchain_core.tracers.schemas  # noqa: F401
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables.utils import AnyConfigurableField
from pydantic import ConfigDict, Field, PrivateAttr
from typing_extensions import override

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import OutcomeError, PolicyError
from langchain_selectllm.members.registry import ChatModel, Member, ModelRegistry
from langchain_selectllm.members.tool_binding import BoundTools, Tools, bind_registry
from langchain_selectllm.prompts import TextOf, last_human_text
from langchain_selectllm.routing.confidence_rule import ConfidenceRule, check_below_confidence
from langchain_selectllm.routing.decision import Decision, decide_all
from langchain_selectllm.routing.feedback import FeedbackLog, FeedbackTarget
from langchain_selectllm.routing.output_parser import VotingOutputParser, parser_of_training
from langchain_selectllm.routing.runnable import EngineRunnable
from langchain_selectllm.routing.settings_checks import (
    check_min_replies,
    check_names,
    check_patience,
    check_seconds,
)
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.routing.structured_vote import StructuredVote
from langchain_selectllm.selection.policies import Policy

if TYPE_CHECKING:
    from langchain_selectllm.routing.configurable import ConfigurableRouter
    from langchain_selectllm.routing.engine import Engine
    from langchain_selectllm.routing.settings import RoutingSettings


def _policy_of_classifier(fields: dict[str, Any]) -> Policy:
    from langchain_selectllm.selection.policy_names import default_policy

    classifier: SelectLLMClassifier = fields["classifier"]
    return default_policy(classifier.pool)


def _parser_of_classifier(fields: dict[str, Any]) -> VotingOutputParser:
    return parser_of_training(fields["classifier"].summary.answer_type)


class SelectLLMRouter(EngineRunnable):
    """Answers a prompt like a chat model, by the vote of the members that are most likely right.

    The reply is the winning member's own message. `response_metadata["selectllm"]` holds the decision and its
    reasons as plain JSON: probabilities, selection, answers, vote, support, failures, latencies, calls and
    cost. `usage_metadata` is the sum over all replies.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    classifier: SelectLLMClassifier
    """Fitted; predicts which members answer a prompt correctly."""
    models: ModelRegistry
    """The members; a plain dict of chat models or provider strings ("openai:gpt-4o-mini") is converted."""
    policy: Policy = Field(default_factory=_policy_of_classifier)
    """Turns probabilities into a selection; a name such as "selectllm:3" is parsed. By default `selectllm:3`,
    or `weighted_max_conf:3` where the classifier has no operating points."""
    parser: VotingOutputParser = Field(default_factory=_parser_of_classifier)
    """Reads answers and votes; by default with the extractor that most training replies were read with."""
    deadline_s: float | None = None
    """Deadline of one member's call in seconds; a late member counts as failed."""
    request_deadline_s: float | None = None
    """Deadline of the whole request in seconds, from the decision to the vote: top-ups, further rounds and
    the judge get the time that is left. The replies that have come by then vote."""
    min_replies: int | None = None
    """Other members are called when failures leave fewer replies; half the selection when None."""
    max_calls: int | None = None
    """Most calls of members per prompt, failures and follow-up rounds included; no bound when None."""
    early_stop: bool = True
    """Whether outstanding calls are given up once they cannot change the winner."""
    patience: float | Literal["tuned"] | None = None
    """Lead from which outstanding members are not waited for, though they may change the answer, once most of
    the called members have replied: P(the winning answer is right, if it or the strongest other one is). The
    level tuned in training when "tuned"; calls are given up only when the vote is settled when None."""
    patience_after_s: float | None = None
    """Seconds from the start of a round of calls before which `patience` does not count; none when None. A
    tuned level has seconds of its own."""
    min_confidence: float | None = None
    """Least calibrated confidence that an answer needs; no bound when None."""
    below_confidence: str = "raise"
    """Action below it: "raise", "abstain" (an empty message, marked), or the member whose answer is taken."""
    text_of: TextOf = last_human_text
    """Text of the messages that is routed on: `last_human_text`, `whole_transcript`, or a function."""
    sticky: StickyThreads | None = Field(default=None, repr=False, exclude=True)
    """Keeps the members of a conversation's first turn for the later ones; selected afresh at every turn when
    None."""
    feedback_log: FeedbackLog | None = Field(default=None, repr=False, exclude=True)
    """Log that `feedback` is written to."""
    bound: BoundTools | None = Field(default=None, repr=False, exclude=True)
    """The members with tools bound; `bind_tools` sets it."""
    structure: StructuredVote | None = Field(default=None, repr=False, exclude=True)
    """Schema of the objects that are voted on instead of answers; `with_structured_output` sets it."""

    _engine: "Engine | None" = PrivateAttr(None)
    """Built from the fields at the first request; dropped when a field changes."""

    def __init__(self, **kwargs: Any) -> None:
        """Check that classifier, models and policy belong together.

        Raises:
            MemberMismatchError: If the models are not exactly the classifier's members.
            PolicyError: If the policy is unknown or does not fit the pool, a bound or a deadline is out of
                range, or the confidence rule cannot be applied.
            PoolFileError: If a provider refuses the model that a provider string names.
            TypeError: If a keyword argument is no field.
        """
        check_names(type(self).__name__, kwargs, type(self).model_fields)
        # Not in validators: pydantic would wrap these errors in its own.
        models, policy = kwargs.get("models"), kwargs.get("policy")
        if isinstance(models, Mapping) and not isinstance(models, ModelRegistry):
            kwargs["models"] = ModelRegistry(models)
        if isinstance(policy, str):
            from langchain_selectllm.selection.policy_names import parse_policy

            kwargs["policy"] = parse_policy(policy)
        if policy is None:
            kwargs.pop("policy", None)
        super().__init__(**kwargs)
        if self.max_calls is not None and self.max_calls < 1:
            raise PolicyError(f"max_calls is {self.max_calls}. Use at least 1, or None for no bound.")
        check_seconds("deadline_s", self.deadline_s)
        check_seconds("request_deadline_s", self.request_deadline_s)
        self.models.check_covers(self.classifier.members)
        check_patience(self.patience, self.patience_after_s, self.classifier.pool, early_stop=self.early_stop)
        check_min_replies(self.min_replies, len(self.models))
        decide_all(self.classifier, self.policy, [""])
        check_below_confidence(self.below_confidence, self.classifier.members)
        if self._rule is not None:
            self._rule.check(learned=self.classifier.pool.vote is not None)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        models: Mapping[str, ChatModel | Member | str],
        *,
        encoder_model: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """The router over a saved classifier.

        Args:
            folder: Artefact written by `selectllm train` or `save_pretrained`.
            models: Chat models by name; exactly the members of the classifier.
            encoder_model: Model under the encoder; see `SelectLLMClassifier.from_pretrained`.
            kwargs: Any field of the router, such as `policy` and `parser`.

        Raises:
            ArtefactError: If the folder cannot be trusted or read.
            EncoderError: If the encoder's model cannot be loaded, or has to be named.
            MemberMismatchError: If the models are not the classifier's members.
        """
        classifier = SelectLLMClassifier.from_pretrained(folder, encoder_model=encoder_model)
        return cls(classifier=classifier, models=ModelRegistry(models), **kwargs)

    def decide(self, prompt: LanguageModelInput) -> Decision:
        """The members that the router would call at a thread's first turn, and the reason; calls none."""
        return self.engine.decide([prompt])[0]

    @override
    def with_tools(self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any) -> Self:
        """The router with tools bound on every member that can call tools; see `bind_tools`.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        native_format = None
        if self.structure is not None:
            native_format = self.structure.response_format
        bound = bind_registry(self.models, tools, native_format=native_format, **kwargs)
        return self.model_copy(update={"bound": bound})

    @override
    def with_structure(self, structure: StructuredVote) -> Self:
        """The router whose members' objects are voted on; see `with_structured_output`."""
        return self.model_copy(update={"structure": structure})

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, which builds its own engine."""
        copied = super().model_copy(update=update, deep=deep)
        copied._engine = None  # noqa: SLF001 - of the same class
        return copied

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in type(self).model_fields:
            self._engine = None

    @override
    def configurable_fields(self, **kwargs: AnyConfigurableField) -> "ConfigurableRouter":
        """The router with fields that a request may set, through `configurable` of its config.

        Args:
            kwargs: A `ConfigurableField` per field name.

        Raises:
            ValueError: If there is no such field.
        """
        from langchain_selectllm.routing.configurable import ConfigurableRouter

        super().configurable_fields(**kwargs)
        return ConfigurableRouter(default=self, fields=kwargs)

    def as_chat_model(self, **kwargs: Any) -> BaseChatModel:
        """The `ChatSelectLLM` over this router, for code that requires a `BaseChatModel`."""
        from langchain_selectllm.routing.chat_model import ChatSelectLLM

        # Typed by its base: LangChain's fallbacks read annotations to find the models they wrap.
        return ChatSelectLLM(router=self, **kwargs)

    def feedback(self, target: FeedbackTarget, score: float, **fields: Any) -> dict[str, float]:
        """Records a score of a final answer as outcomes in `feedback_log`; see `FeedbackLog.add`.

        Args:
            target: The router's message, the decision for one member, or the id of a run that the log saw as
                a callback.
            score: Score of the answer in [0, 1].
            fields: Further fields of the record, such as `comment`.

        Returns:
            The score that each member got.

        Raises:
            OutcomeError: If the router has no log, the score is out of range, or the member that answered
                cannot be identified.
        """
        if self.feedback_log is None:
            raise OutcomeError(
                "The router has no feedback_log. Pass feedback_log=FeedbackLog(folder) when you make it."
            )
        return self.feedback_log.add(target, score, **fields)

    @property
    @override
    def engine(self) -> "Engine":
        """The engine of the present fields; built once, and again after a field has changed."""
        from langchain_selectllm.routing.engine import Engine

        if self._engine is None:
            self._engine = Engine(self._settings())
        return self._engine

    def _settings(self) -> "RoutingSettings":
        from langchain_selectllm.routing.settings import RoutingSettings

        models, left_out, structure = self.models, dict[str, str](), self.structure
        if self.bound is not None:
            from langchain_selectllm.routing.response_format import response_structure

            models, left_out = self.bound.models, dict(self.bound.left_out)
            structure = structure or response_structure(self.bound.settings)
        patience, after_s = self._patience
        return RoutingSettings(
            classifier=self.classifier,
            policy=self.policy,
            models=models,
            parser=self.parser,
            text_of=self.text_of,
            deadline_s=self.deadline_s,
            request_deadline_s=self.request_deadline_s,
            min_replies=self.min_replies,
            early_stop=self.early_stop,
            left_out=left_out,
            rule=self._rule,
            structure=structure,
            patience=patience,
            patience_after_s=after_s,
            max_calls=self.max_calls,
            sticky=self.sticky,
        )

    @property
    def _patience(self) -> tuple[float | None, float]:
        """The level of patience, and the seconds before which it does not count."""
        tuned = self.classifier.pool.patience
        if self.patience != "tuned":
            return self.patience, self.patience_after_s or 0.0
        if tuned is None:
            return None, 0.0
        return tuned.level, tuned.after_s

    @property
    def _rule(self) -> ConfidenceRule | None:
        if self.min_confidence is None:
            return None
        return ConfidenceRule(self.min_confidence, self.below_confidence)

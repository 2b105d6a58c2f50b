"""The Runnable: one prompt in, a few members asked in parallel, the voted answer out."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field
from typing_extensions import override

from langchain_selectllm.asked import aanswer_all, answer_all, ask_all
from langchain_selectllm.catalogue import parse_policy
from langchain_selectllm.classifier import SelectLLMClassifier
from langchain_selectllm.decision import Decision, TextOf, decide_all, last_human_text
from langchain_selectllm.engine import Engine
from langchain_selectllm.exceptions import AnswerError
from langchain_selectllm.output_parser import VotingOutputParser
from langchain_selectllm.policies import Policy, WeightedMaxConf
from langchain_selectllm.registry import ChatModel, Member, ModelRegistry
from langchain_selectllm.schemas import Schema
from langchain_selectllm.structured import StructuredVote, VoteBy, parsed
from langchain_selectllm.trust import ConfidenceRule
from langchain_selectllm.wrappers import BoundTools, Tools, bind_registry

if TYPE_CHECKING:
    from langchain_selectllm.chat_model import ChatSelectLLM


def _parser_of_classifier(fields: dict[str, Any]) -> VotingOutputParser:
    kind = fields["classifier"].summary.answer_type
    if kind == "callable":
        raise AnswerError(
            "The classifier was trained with an answer callable. Pass parser=VotingOutputParser(answer=callable)."
        )
    return VotingOutputParser(answer=kind)


class SelectLLMRouter(RunnableSerializable[LanguageModelInput, AIMessage]):
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
    early_stop: bool = True
    """Whether outstanding calls are given up once they cannot change the winner."""
    min_confidence: float | None = None
    """Least calibrated confidence that an answer needs; any will do when None."""
    below_confidence: str = "raise"
    """What to do below it: "raise", "abstain" (an empty message, marked), or take the answer of the member of that name."""
    text_of: TextOf = last_human_text
    """Which text of the prompt's messages is routed on."""
    bound: BoundTools | None = Field(default=None, repr=False, exclude=True)
    """The members with tools bound; `bind_tools` sets it."""
    structure: StructuredVote | None = Field(default=None, repr=False, exclude=True)
    """What objects are voted on instead of answers; `with_structured_output` sets it."""

    def __init__(self, **kwargs: Any) -> None:
        """Check at once that classifier, models and policy belong together.

        Raises:
            MemberMismatchError: If the models are not exactly the classifier's members.
            PolicyError: If the policy is unknown or does not fit the pool, or the confidence rule cannot be applied.
        """
        # Not in validators: pydantic would wrap these errors in its own.
        models, policy = kwargs.get("models"), kwargs.get("policy")
        if isinstance(models, Mapping) and not isinstance(models, ModelRegistry):
            kwargs["models"] = ModelRegistry(models)
        if isinstance(policy, str):
            kwargs["policy"] = parse_policy(policy)
        super().__init__(**kwargs)
        self.models.check_covers(self.classifier.members)
        decide_all(self.classifier, self.policy, [""])
        if self._rule is not None:
            self._rule.check(self.classifier.members, learned=self.classifier.pool.vote is not None)

    @classmethod
    def from_pretrained(cls, folder: str | Path, models: Mapping[str, ChatModel | Member], **kwargs: Any) -> Self:
        """The router over a saved classifier.

        Args:
            folder: What `selectllm train` or `save_pretrained` wrote.
            models: Chat models by name; exactly the members of the classifier.
            kwargs: Any field of the router, such as `policy` and `parser`.

        Raises:
            ArtefactError: If the folder cannot be trusted or read.
            MemberMismatchError: If the models are not the classifier's members.
        """
        return cls(classifier=SelectLLMClassifier.from_pretrained(folder), models=ModelRegistry(models), **kwargs)

    def decide(self, prompt: LanguageModelInput) -> Decision:
        """Whom the router would call for the prompt, and why; calls nobody."""
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

    def as_chat_model(self, **kwargs: Any) -> "ChatSelectLLM":
        """The chat model over this router, for places that ask for a `BaseChatModel`."""
        from langchain_selectllm.chat_model import ChatSelectLLM

        return ChatSelectLLM(router=self, **kwargs)

    @override
    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """The winning member's message.

        Raises:
            FanOutError: If every called member failed.
        """
        return self._call_with_config(self._invoke, input, config, **kwargs)

    @override
    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """The winning member's message.

        Raises:
            FanOutError: If every called member failed.
        """
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    @override
    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message of each prompt; all prompts are encoded at once, `max_concurrency` bounds all calls together."""
        return self._batch_with_config(self._batch, inputs, config, return_exceptions=return_exceptions, **kwargs)

    @override
    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message of each prompt; all prompts are encoded at once, `max_concurrency` bounds all calls together."""
        return await self._abatch_with_config(self._abatch, inputs, config, return_exceptions=return_exceptions, **kwargs)

    @override
    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[AIMessage]:
        """The reply in chunks: as they come when one member is chosen, else the winner's message cut up after the vote.

        The last chunk carries the metadata. A single member that fails before its first chunk is replaced by the next most
        probable one; later there is no way back.
        """
        yield from self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)

    @override
    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        """The reply in chunks, as `stream`."""

        async def given() -> AsyncIterator[LanguageModelInput]:
            yield input

        async for chunk in self._atransform_stream_with_config(given(), self._astream, config, **kwargs):
            yield chunk

    @property
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
        )

    @property
    def _rule(self) -> ConfidenceRule | None:
        return None if self.min_confidence is None else ConfidenceRule(self.min_confidence, self.below_confidence)

    def _invoke(
        self, prompt: LanguageModelInput, run_manager: CallbackManagerForChainRun, config: RunnableConfig, **kwargs: Any
    ) -> AIMessage:
        (asked,) = ask_all(self.engine, [prompt], [run_manager], [config], kwargs)
        return asked.answer()

    async def _ainvoke(
        self, prompt: LanguageModelInput, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig, **kwargs: Any
    ) -> AIMessage:
        (asked,) = await run_in_executor(config, ask_all, self.engine, [prompt], [run_manager], [config], kwargs)
        return await asked.aanswer()

    def _batch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[CallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        return answer_all(ask_all(self.engine, prompts, run_manager, config, kwargs))

    async def _abatch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[AsyncCallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        settings = config[0] if config else None
        asked = await run_in_executor(settings, ask_all, self.engine, prompts, run_manager, config, kwargs)
        return await aanswer_all(asked)

    def _stream(
        self,
        prompts: Iterator[LanguageModelInput],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[AIMessage]:
        for asked in ask_all(self.engine, list(prompts), [run_manager], [config], kwargs):
            yield from asked.chunks()

    async def _astream(
        self,
        prompts: AsyncIterator[LanguageModelInput],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessage]:
        given = [prompt async for prompt in prompts]
        for asked in await run_in_executor(config, ask_all, self.engine, given, [run_manager], [config], kwargs):
            async with aclosing(asked.achunks()) as chunks:
                async for chunk in chunks:
                    yield chunk

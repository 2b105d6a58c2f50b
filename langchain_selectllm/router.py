"""The Runnable: one prompt in, a few members asked in parallel, the voted answer out."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import patch_config, run_in_executor, set_config_context
from langchain_core.runnables.utils import coro_with_context
from pydantic import ConfigDict, Field, field_validator, model_validator
from typing_extensions import override

from langchain_selectllm.classifier import SelectLLMClassifier
from langchain_selectllm.decision import Decision, TextOf, decide_all, last_human_text, prompt_messages
from langchain_selectllm.exceptions import AnswerError
from langchain_selectllm.fanout import CallPlan, Limits, arun, run
from langchain_selectllm.merge import Ballot, merge
from langchain_selectllm.output_parser import VotingOutputParser
from langchain_selectllm.policies import Policy, WeightedMaxConf, parse_policy, policy_name
from langchain_selectllm.registry import ChatModel, Member, ModelRegistry

_BATCH_THREADS = 16


def _parser_of_classifier(fields: dict[str, Any]) -> VotingOutputParser:
    kind = fields["classifier"].summary.answer_type
    if kind == "callable":
        raise AnswerError("The classifier was trained with an answer callable. Pass parser=VotingOutputParser(answer=callable).")
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
    text_of: TextOf = last_human_text
    """Which text of the prompt's messages is routed on."""

    @field_validator("models", mode="before")
    @classmethod
    def _register(cls, models: Any) -> Any:
        return ModelRegistry(models) if isinstance(models, Mapping) and not isinstance(models, ModelRegistry) else models

    @field_validator("policy", mode="before")
    @classmethod
    def _named_policy(cls, policy: Any) -> Any:
        return parse_policy(policy) if isinstance(policy, str) else policy

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.models.check_covers(self.classifier.members)
        # A policy that does not fit the pool is to be heard of now, not at the first prompt.
        decide_all(self.classifier, self.policy, [""])
        return self

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
        return cls(classifier=SelectLLMClassifier.from_pretrained(folder), models=models, **kwargs)

    def decide(self, prompt: LanguageModelInput) -> Decision:
        """Whom the router would call for the prompt, and why; calls nobody."""
        return self._decide([prompt])[0]

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

    def _decide(self, prompts: Sequence[LanguageModelInput]) -> list[Decision]:
        texts = [self.text_of(prompt_messages(prompt)) for prompt in prompts]
        return decide_all(self.classifier, self.policy, texts)

    def _invoke(
        self, prompt: LanguageModelInput, run_manager: CallbackManagerForChainRun, config: RunnableConfig, **kwargs: Any
    ) -> AIMessage:
        return self._ask(prompt, self._decide([prompt])[0], run_manager, config, None, kwargs)

    async def _ainvoke(
        self, prompt: LanguageModelInput, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig, **kwargs: Any
    ) -> AIMessage:
        decisions = await run_in_executor(config, self._decide, [prompt])
        return await self._aask(prompt, decisions[0], run_manager, config, None, kwargs)

    def _batch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[CallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        limit = config[0].get("max_concurrency") if config else None
        gate = threading.Semaphore(limit) if limit else None

        def one(prompt: LanguageModelInput, decision: Decision, manager: Any, settings: RunnableConfig) -> Any:
            try:
                return self._ask(prompt, decision, manager, settings, gate, kwargs)
            except Exception as error:  # noqa: BLE001 - handed to the caller, who asked for it or raises it
                return error

        with ThreadPoolExecutor(min(max(len(prompts), 1), _BATCH_THREADS)) as pool:
            rows = zip(prompts, self._decide(prompts), run_manager, config, strict=True)
            return [future.result() for future in [pool.submit(copy_context().run, one, *row) for row in rows]]

    async def _abatch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[AsyncCallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        limit = config[0].get("max_concurrency") if config else None
        gate = asyncio.Semaphore(limit) if limit else None
        decisions = await run_in_executor(config[0] if config else None, self._decide, prompts)
        rows = zip(prompts, decisions, run_manager, config, strict=True)
        asked = [self._aask(*row, gate, kwargs) for row in rows]
        return list(await asyncio.gather(*asked, return_exceptions=True))  # type: ignore[arg-type]

    def _ask(
        self,
        prompt: LanguageModelInput,
        decision: Decision,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        gate: threading.Semaphore | None,
        kwargs: dict[str, Any],
    ) -> AIMessage:
        plan, ballot = self._plan(decision)

        def call(k: int) -> AIMessage:
            name = decision.members[k]
            child = patch_config(config, callbacks=run_manager.get_child(f"selectllm:member:{name}"))
            with set_config_context(child) as context:
                return context.run(self.models[name].model.invoke, prompt, child, **kwargs)

        run(plan, call, self._limits(config), gate)
        return merge(decision, plan, ballot, self.models, policy=policy_name(self.policy))

    async def _aask(
        self,
        prompt: LanguageModelInput,
        decision: Decision,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        gate: asyncio.Semaphore | None,
        kwargs: dict[str, Any],
    ) -> AIMessage:
        plan, ballot = self._plan(decision)

        async def call(k: int) -> AIMessage:
            name = decision.members[k]
            child = patch_config(config, callbacks=run_manager.get_child(f"selectllm:member:{name}"))
            with set_config_context(child) as context:
                calling: Awaitable[AIMessage] = self.models[name].model.ainvoke(prompt, child, **kwargs)
                return await coro_with_context(calling, context, create_task=True)

        await arun(plan, call, self._limits(config), gate)
        return merge(decision, plan, ballot, self.models, policy=policy_name(self.policy))

    def _plan(self, decision: Decision) -> tuple[CallPlan, Ballot]:
        ballot = Ballot(decision, self.parser, self.policy.vote, self.models)
        enough = (len(decision.selected) + 1) // 2 if self.min_replies is None else self.min_replies
        is_decided: Callable[..., bool] = ballot.is_decided if self.early_stop else lambda *_: False
        return CallPlan(decision.selected, decision.reserve, enough, is_decided), ballot

    def _limits(self, config: RunnableConfig) -> Limits:
        return Limits(self.deadline_s, config.get("max_concurrency"))

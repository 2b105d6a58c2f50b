"""The Runnable: one prompt in, a few members asked in parallel, the voted answer out."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import patch_config, run_in_executor, set_config_context
from langchain_core.runnables.utils import coro_with_context
from pydantic import ConfigDict, Field
from typing_extensions import override

from langchain_selectllm.answers.lookup import EXTRACTOR_NAMES
from langchain_selectllm.catalogue import parse_policy, policy_name
from langchain_selectllm.classifier import SelectLLMClassifier
from langchain_selectllm.decision import Decision, TextOf, decide_all, last_human_text, prompt_messages
from langchain_selectllm.exceptions import AnswerError, OutcomeError
from langchain_selectllm.fanout import CallPlan, Limits, arun, run
from langchain_selectllm.feedback import FeedbackLog, Given
from langchain_selectllm.merge import Ballot, merge
from langchain_selectllm.output_parser import VotingOutputParser
from langchain_selectllm.policies import Policy, WeightedMaxConf
from langchain_selectllm.registry import ChatModel, Member, ModelRegistry

_BATCH_THREADS = 16


def _parser_of_classifier(fields: dict[str, Any]) -> VotingOutputParser:
    kind = fields["classifier"].summary.answer_type
    if kind not in EXTRACTOR_NAMES:
        raise AnswerError(
            f"The classifier was trained with an answer extractor of its author's ({kind!r}). Pass "
            "parser=VotingOutputParser(answer=...) with that extractor or callable."
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
    text_of: TextOf = last_human_text
    """Which text of the prompt's messages is routed on."""
    feedback_log: FeedbackLog | None = Field(default=None, repr=False, exclude=True)
    """Where `feedback` is kept."""

    def __init__(self, **kwargs: Any) -> None:
        """Check at once that classifier, models and policy belong together.

        Raises:
            MemberMismatchError: If the models are not exactly the classifier's members.
            PolicyError: If the policy is unknown, or does not fit the pool.
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
        return self._decide([prompt])[0]

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
            raise OutcomeError("The router has no feedback_log. Pass feedback_log=FeedbackLog(folder) when you make it.")
        return self.feedback_log.add(given, score, **fields)

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
        return self._ask(_Asked(prompt, self._decide([prompt])[0], config, kwargs), run_manager)

    async def _ainvoke(
        self, prompt: LanguageModelInput, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig, **kwargs: Any
    ) -> AIMessage:
        decisions = await run_in_executor(config, self._decide, [prompt])
        return await self._aask(_Asked(prompt, decisions[0], config, kwargs), run_manager)

    def _batch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[CallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        limit = config[0].get("max_concurrency") if config else None
        gate = threading.Semaphore(limit) if limit else None

        decisions = self._decide(prompts)

        def one(i: int) -> AIMessage | Exception:
            try:
                return self._ask(_Asked(prompts[i], decisions[i], config[i], kwargs), run_manager[i], gate)
            except Exception as error:  # noqa: BLE001 - handed to the caller, who asked for it or raises it
                return error

        with ThreadPoolExecutor(min(max(len(prompts), 1), _BATCH_THREADS)) as pool:
            futures = [pool.submit(copy_context().run, one, i) for i in range(len(prompts))]
            return [future.result() for future in futures]

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
        asked = [
            self._aask(_Asked(prompt, decision, settings, kwargs), manager, gate)
            for prompt, decision, settings, manager in zip(prompts, decisions, config, run_manager, strict=True)
        ]
        results = await asyncio.gather(*asked, return_exceptions=True)
        return [_exception_or_message(result) for result in results]

    def _ask(
        self, asked: "_Asked", run_manager: CallbackManagerForChainRun, gate: threading.Semaphore | None = None
    ) -> AIMessage:
        plan, ballot = self._plan(asked.decision)

        def call(k: int) -> AIMessage:
            name = asked.decision.members[k]
            child = patch_config(asked.config, callbacks=run_manager.get_child(f"selectllm:member:{name}"))
            with set_config_context(child) as context:
                return context.run(self.models[name].model.invoke, asked.prompt, child, **asked.kwargs)

        limits = self._limits(asked.config)
        run(plan, call, limits, gate)
        case = ballot.open_case(plan.replies)
        if case is not None:
            child = patch_config(asked.config, callbacks=run_manager.get_child("selectllm:judge"))
            judging = CallPlan([0], [], 1, lambda *_: False)
            run(judging, lambda _: case.judge.member.model.invoke(list(case.prompt), child), limits, gate)
            case.settle(judging.outcome)
        return self._merge(asked, plan, ballot)

    async def _aask(
        self, asked: "_Asked", run_manager: AsyncCallbackManagerForChainRun, gate: asyncio.Semaphore | None = None
    ) -> AIMessage:
        plan, ballot = self._plan(asked.decision)

        async def call(k: int) -> AIMessage:
            name = asked.decision.members[k]
            child = patch_config(asked.config, callbacks=run_manager.get_child(f"selectllm:member:{name}"))
            model = self.models[name].model
            with set_config_context(child) as context:
                try:
                    calling: Awaitable[AIMessage] = model.ainvoke(asked.prompt, child, **asked.kwargs)
                    return await coro_with_context(calling, context, create_task=True)
                except NotImplementedError:
                    # A model without an async form, such as ChatHuggingFace, is run in a thread.
                    invoke = partial(context.run, model.invoke, asked.prompt, child, **asked.kwargs)
                    return await asyncio.get_running_loop().run_in_executor(None, invoke)

        limits = self._limits(asked.config)
        await arun(plan, call, limits, gate)
        # Without a model at work in the count, a thread would cost more than it frees.
        if ballot.is_slow:
            case = await run_in_executor(asked.config, ballot.open_case, plan.replies)
        else:
            case = ballot.open_case(plan.replies)
        if case is not None:
            child = patch_config(asked.config, callbacks=run_manager.get_child("selectllm:judge"))
            judging = CallPlan([0], [], 1, lambda *_: False)
            await arun(judging, lambda _: case.judge.member.model.ainvoke(list(case.prompt), child), limits, gate)
            case.settle(judging.outcome)
        return self._merge(asked, plan, ballot)

    def _merge(self, asked: "_Asked", plan: CallPlan, ballot: Ballot) -> AIMessage:
        return merge(asked.decision, plan, ballot, self.models, policy=policy_name(self.policy))

    def _plan(self, decision: Decision) -> tuple[CallPlan, Ballot]:
        ballot = Ballot(decision, self.parser, self.classifier.pool, self.models)
        enough = (len(decision.selected) + 1) // 2 if self.min_replies is None else self.min_replies
        is_decided: Callable[..., bool] = ballot.is_decided if self.early_stop else lambda *_: False
        return CallPlan(decision.selected, decision.reserve, enough, is_decided, ballot.next_round), ballot

    def _limits(self, config: RunnableConfig) -> Limits:
        return Limits(self.deadline_s, config.get("max_concurrency"))


@dataclass(frozen=True, eq=False)
class _Asked:
    """One prompt on its way to the members."""

    prompt: LanguageModelInput
    decision: Decision
    config: RunnableConfig
    kwargs: dict[str, Any]


def _exception_or_message(result: AIMessage | BaseException) -> AIMessage | Exception:
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    return result

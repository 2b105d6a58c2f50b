"""The engine: decisions before the calls, elections over the replies, and no calls of its own."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.members.capabilities import Needs, unable_members
from langchain_selectllm.members.repeated_replies import fixed_by, why_repeated
from langchain_selectllm.prompts import prompt_messages
from langchain_selectllm.routing.answer_confidence import AnswerConfidence
from langchain_selectllm.routing.decision import Decision, decide_all
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.election_terms import ElectionTerms
from langchain_selectllm.routing.reply_message import reply_message
from langchain_selectllm.routing.response_format import response_structure
from langchain_selectllm.routing.settings import RoutingSettings
from langchain_selectllm.routing.sticky import thread_of
from langchain_selectllm.voting.call_numbers import number_calls

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Engine:
    """Decides, opens elections and merges replies by a router's settings."""

    settings: RoutingSettings

    def decide(
        self, prompts: Sequence[LanguageModelInput], configs: Sequence[RunnableConfig | None] | None = None
    ) -> list[Decision]:
        """Selects the members per prompt; all prompts are encoded at once.

        Args:
            prompts: Anything that a chat model accepts.
            configs: One per prompt, which may name its thread; threads are not remembered without them.

        Raises:
            TypeError: If a prompt is of a type that no chat model accepts, or `text_of` returns no string.
        """
        conversations = [prompt_messages(prompt) for prompt in prompts]
        texts = [self._text(messages) for messages in conversations]
        decisions = decide_all(self.settings.classifier, self.settings.policy, texts)
        return self._all_bounded(decisions, configs or [None] * len(prompts), conversations)

    async def decide_async(
        self, prompts: Sequence[LanguageModelInput], configs: Sequence[RunnableConfig | None]
    ) -> list[Decision]:
        """The decisions of `decide`; prompts of requests that arrive at the same time are encoded together.

        A decision that runs a model is made in a daemon thread.
        """
        settings = self.settings
        if settings.decides_slowly:
            return await in_daemon(partial(self.decide, prompts, configs))
        conversations = [prompt_messages(prompt) for prompt in prompts]
        texts = [self._text(messages) for messages in conversations]
        probabilities = await settings.joint_predictions.of(texts)
        decisions = decide_all(settings.classifier, settings.policy, texts, probabilities)
        return self._all_bounded(decisions, configs, conversations)

    def _all_bounded(
        self,
        decisions: Sequence[Decision],
        configs: Sequence[RunnableConfig | None],
        conversations: Sequence[Sequence[BaseMessage]],
    ) -> list[Decision]:
        bounded = []
        for messages, decision, config in zip(conversations, decisions, configs, strict=True):
            bounded.append(self._bounded(decision, config, messages))
        return bounded

    def _text(self, messages: Sequence[BaseMessage]) -> str:
        text = self.settings.text_of(messages)
        if isinstance(text, str):
            return text
        raise TypeError(
            f"text_of returned {text!r}. Let it return a string; an empty one is routed by base rates."
        )

    def _bounded(
        self,
        decision: Decision,
        config: RunnableConfig | None,
        messages: Sequence[BaseMessage],
    ) -> Decision:
        """The decision without members that are left out, with those its thread keeps, within `max_calls`."""
        settings = self.settings
        left_out = self._left_out(messages)
        if settings.sticky is None or config is None:
            decision = decision.without(left_out)
        else:
            decision = settings.sticky.turn(thread_of(config, messages), decision, left_out)
        if decision.repeats:
            decision = decision.once(self._unrepeated(decision))
        return decision.at_most(settings.max_calls)

    def _unrepeated(self, decision: Decision) -> dict[str, str]:
        """Members of a decision whose further replies would be the same, with the reason; logs a warning."""
        unrepeated = {}
        for name in dict.fromkeys(decision.selected_members):
            reason = self.settings.same_replies or why_repeated(self.settings.models[name].model)
            if reason is None:
                continue
            unrepeated[name] = reason
            warning = f"member {name} is called once instead of several times: {reason}"
            if warning not in self.settings.reported:
                self.settings.reported.add(warning)
                logger.warning(warning)
        return unrepeated

    def _left_out(self, messages: Sequence[BaseMessage]) -> Mapping[str, str]:
        """Members that are not called for a prompt, with the reason.

        Where no member could be called by its profile, profiles are ignored: the errors of the providers then
        say more than they do.
        """
        settings = self.settings
        in_text = settings.structure is not None and settings.structure.in_text
        unable = unable_members(settings.profiles, Needs.of(messages, native_json=in_text))
        left_out = {**unable, **settings.left_out}
        if not unable or len(left_out) == len(settings.models):
            return settings.left_out
        return left_out

    def for_call(self, arguments: Mapping[str, Any]) -> "Engine":
        """The engine of a call with these keyword arguments.

        They may prescribe a schema for its objects, or make all replies of a member the same.
        """
        if not arguments:
            return self
        settings, same_replies = self.settings, fixed_by(arguments)
        if same_replies is not None:
            settings = replace(settings, same_replies=same_replies)
        if settings.structure is None and (structure := response_structure(arguments)) is not None:
            settings = replace(settings, structure=structure)
        if settings is self.settings:
            return self
        return Engine(settings)

    def open_election(self, decision: Decision) -> Election:
        """The vote over the replies of the members that a decision selects."""
        settings = self.settings
        vote = decision.vote
        if settings.parser_vote is not None:
            vote = settings.parser_vote
        terms = ElectionTerms(
            members=decision.members,
            probabilities=decision.vote_probabilities,
            vote=vote,
            reader=settings.parser.reader,
            query=decision.text,
            latencies=settings.latencies,
            confidence=AnswerConfidence(
                learned=settings.classifier.pool.vote, probabilities=decision.probabilities
            ),
            further=decision.further,
            rule=settings.rule,
            patience=settings.patience,
        )
        if settings.structure is None:
            return Election(terms)
        from langchain_selectllm.routing.object_election import ObjectElection

        return ObjectElection(terms, settings.structure)

    def plan(self, decision: Decision, election: Election) -> CallPlan:
        """The calls of a decision's members, whose replies the election counts."""
        settings = self.settings
        min_replies = settings.min_replies
        if min_replies is None:
            min_replies = (len(decision.selected) + 1) // 2
        return CallPlan(
            selected=number_calls(decision.selected, len(decision.members)),
            reserve=decision.reserve,
            min_replies=min_replies,
            counter=election,
            early_stop=settings.early_stop,
            max_calls=settings.max_calls,
        )

    def merge(self, decision: Decision, plan: CallPlan, election: Election) -> AIMessage:
        """The winning message.

        Raises:
            FanOutError: If no member replied.
            LowConfidenceError: If the confidence rule raises.
        """
        settings = self.settings
        message = reply_message(
            decision=decision,
            plan=plan,
            election=election,
            models=settings.models,
            policy=settings.policy_name,
        )
        if settings.rule is None:
            return message
        return settings.rule.apply(message)

    def is_final(self, decision: Decision) -> bool:
        """Whether the one selected member's reply is the answer in any case, so that it can be streamed."""
        return len(decision.selected) == 1 and decision.further is None and self.settings.rule is None

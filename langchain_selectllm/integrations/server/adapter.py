"""The only place where the server touches a router: settings of a request in, messages and decisions out."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_selectllm.integrations.server.settings import ServerSettings
from langchain_selectllm.outcomes.records import ANSWER_TYPES
from langchain_selectllm.routing.load_router import load_router
from langchain_selectllm.routing.router import SelectLLMRouter
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.selection.policy_names import policy_name

_VARIANTS = 64
"""Routers of different settings that are kept ready; they share the classifier and the members."""
_VOTE_SHARE = 0.95
"""Share of a request's deadline after which the replies that have come vote; the rest is for the way back."""


@dataclass(frozen=True, kw_only=True)
class RouterSettings:
    """Settings of the router that a request chooses; hashable."""

    policy: str
    max_calls: int | None = None
    patience: float | Literal["tuned"] | None = None
    patience_after_s: float | None = None
    min_confidence: float | None = None
    below_confidence: str = "abstain"
    deadline_s: float = 120.0


@dataclass(frozen=True, kw_only=True)
class RouterCall:
    """One prompt with everything that its members get."""

    settings: RouterSettings
    messages: Sequence[BaseMessage]
    member: str | None = None
    """The member that answers alone; the policy selects when None."""
    tools: Sequence[dict[str, Any]] = ()
    tool_settings: Mapping[str, Any] = field(default_factory=dict)
    """`tool_choice` and further arguments of the members' `bind_tools`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the members' calls, such as `temperature`."""
    thread: str | None = None
    """Conversation whose members are remembered; the first human message identifies it when None."""
    callbacks: Sequence[BaseCallbackHandler] = ()


@dataclass(frozen=True, kw_only=True)
class RoutePreview:
    """A decision for which nobody was called."""

    policy: str
    reason: str
    selected: tuple[str, ...]
    probabilities: Mapping[str, float]


class ServedRouter:
    """One loaded artefact with its members, answering under the settings of each request."""

    def __init__(self, router: SelectLLMRouter) -> None:
        """Take over a router, whose own fields are the defaults."""
        self.router = router
        self._variant = lru_cache(_VARIANTS)(self._make_variant)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(self.router.classifier.members)

    @property
    def policy(self) -> str:
        """Name of the router's own policy."""
        return policy_name(self.router.policy)

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the artefact."""
        return self.router.classifier.learned.digest

    @property
    def answer_type(self) -> str | None:
        """Kind of answer that the replies are read as; None for a callable of the operator's."""
        kind = self.router.parser.answer
        if isinstance(kind, str) and kind in ANSWER_TYPES:
            return kind
        return None

    @property
    def unpriced(self) -> list[str]:
        """Members without prices, whose calls cost an unknown amount."""
        models = self.router.models
        counted = {"input_tokens": 1, "output_tokens": 1}
        return [name for name in models if models[name].cost_usd(counted) is None]

    def cost_usd(self, member: str, message: AIMessage) -> float | None:
        """Cost of one reply in US dollars; None when it is unknown."""
        return self.router.models[member].cost_usd(message.usage_metadata)

    def check(self, settings: RouterSettings) -> None:
        """Whether the settings can be applied to this artefact.

        Raises:
            PolicyError: If the policy does not fit, or confidences cannot be given.
            MemberMismatchError: If `below_confidence` names an unknown member.
        """
        self._variant(settings)

    def preview(self, call: RouterCall) -> RoutePreview:
        """Members that would be called first, and why; calls nobody.

        Raises:
            ToolSupportError: If tools are given and no member can call them.
        """
        decision = self._bound(call).decide(list(call.messages))
        shares = zip(decision.members, decision.probabilities.tolist(), strict=True)
        return RoutePreview(
            policy=call.settings.policy,
            reason=decision.reason,
            selected=decision.selected_members,
            probabilities=dict(shares),
        )

    async def answer(self, call: RouterCall) -> AIMessage:
        """The winning message.

        Raises:
            FanOutError: If every called member failed.
            LowConfidenceError: If the settings let an answer that is not sure enough raise.
            ToolSupportError: If tools are given and no member can call them.
        """
        messages, config = list(call.messages), _config(call)
        if call.member is not None:
            chat = self._variant(call.settings).as_chat_model()
            return await chat.ainvoke(messages, config, **self._alone(call))
        return await self._bound(call).ainvoke(messages, config, **call.arguments)

    async def answer_by_all(self, call: RouterCall) -> AIMessage:
        """The winning message when every member is called and none is given up; raises as `answer` does."""
        settings = RouterSettings(policy="all_members", deadline_s=call.settings.deadline_s)
        router = self._variant(settings).model_copy(update={"early_stop": False, "sticky": None})
        return await router.ainvoke(list(call.messages), _config(call), **call.arguments)

    async def stream(self, call: RouterCall) -> AsyncGenerator[AIMessageChunk, None]:
        """The reply in chunks, the last one with the decision; raises as `answer` does."""
        messages, config = list(call.messages), _config(call)
        if call.member is not None:
            chat = self._variant(call.settings).as_chat_model()
            chunks: AsyncIterator[Any] = chat.astream(messages, config, **self._alone(call))
        else:
            chunks = self._bound(call).astream(messages, config, **call.arguments)
        async with aclosing(cast("AsyncGenerator[AIMessageChunk, None]", chunks)) as closing:
            async for chunk in closing:
                yield chunk

    def novelty(self, texts: Sequence[str]) -> list[float]:
        """Unfamiliarity of each text to the classifier's encoder, in [0, 1]."""
        encoder = self.router.classifier.learned.encoder
        return [float(value) for value in encoder.novelty(texts, encoder.encode(texts))]

    def _bound(self, call: RouterCall) -> SelectLLMRouter:
        variant = self._variant(call.settings)
        if not call.tools:
            return variant
        return variant.with_tools(list(call.tools), **call.tool_settings)

    def _alone(self, call: RouterCall) -> dict[str, Any]:
        """Arguments of the chat model that make one member answer alone."""
        arguments = {**call.arguments, "model": call.member}
        if not call.tools:
            return arguments
        settings = dict(call.tool_settings)
        choice = settings.pop("tool_choice", None)
        return {**arguments, "tools": list(call.tools), "tool_choice": choice, "tool_settings": settings}

    def _make_variant(self, settings: RouterSettings) -> SelectLLMRouter:
        own = {name: getattr(self.router, name) for name in type(self.router).model_fields}
        changes = {
            "policy": settings.policy,
            "max_calls": settings.max_calls,
            "patience": settings.patience,
            "patience_after_s": settings.patience_after_s,
            "min_confidence": settings.min_confidence,
            "below_confidence": settings.below_confidence,
            "request_deadline_s": settings.deadline_s * _VOTE_SHARE,
        }
        return SelectLLMRouter(**{**own, **changes})


def load_served(folder: Path, pool: Path | None, settings: ServerSettings) -> ServedRouter:
    """The router of an artefact with the operator's defaults; every allowed policy is checked.

    Raises:
        SelectLLMError: If artefact, pool file and settings do not belong together.
    """
    sticky = None
    if settings.sticky_threads:
        sticky = StickyThreads(settings.sticky_threads)
    served = ServedRouter(load_router(folder, pool, policy=settings.policy, sticky=sticky))
    for policy in allowed_policies(settings, served):
        served.check(default_settings(settings, policy))
    return served


def allowed_policies(settings: ServerSettings, served: ServedRouter) -> tuple[str, ...]:
    """The policies that a request may choose, the default first."""
    return tuple(dict.fromkeys((settings.policy or served.policy, *settings.policies)))


def default_settings(settings: ServerSettings, policy: str) -> RouterSettings:
    """Settings of a request that sets none itself, under a policy."""
    return RouterSettings(
        policy=policy,
        max_calls=settings.max_calls,
        patience=settings.patience,
        patience_after_s=settings.patience_after_s,
        min_confidence=settings.min_confidence,
        below_confidence=settings.below_confidence,
        deadline_s=settings.deadline_s,
    )


def _config(call: RouterCall) -> RunnableConfig:
    config: RunnableConfig = {"callbacks": list(call.callbacks)}
    if call.thread is not None:
        config["configurable"] = {"thread_id": call.thread}
    return config

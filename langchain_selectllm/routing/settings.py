"""Settings of a router at work, shared by the Runnable, the chat model and the middleware."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from langchain_core.language_models import ModelProfile
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.encoders import is_slow
from langchain_selectllm.members.capabilities import member_profiles
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.prompts import TextOf
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.routing.joint_predictions import JointPredictions
from langchain_selectllm.routing.output_parser import VotingOutputParser
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.routing.structured_vote import StructuredVote
from langchain_selectllm.selection.policies import Policy, get_pool_vote
from langchain_selectllm.selection.policy_names import policy_name
from langchain_selectllm.voting.votes import VoteStrategy


@dataclass(frozen=True, eq=False, kw_only=True)
class RoutingSettings:
    """Everything that a router's fields define; built once per router, and read by every request."""

    classifier: SelectLLMClassifier
    policy: Policy
    models: ModelRegistry
    """Members, with tools bound where there are tools."""
    parser: VotingOutputParser
    text_of: TextOf
    deadline_s: float | None
    """Deadline of one call."""
    request_deadline_s: float | None
    """Deadline of a whole request, with all of its rounds."""
    min_replies: int | None
    early_stop: bool
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Members that are never called, with the reason."""
    rule: ConfidenceRule | None = None
    """Least confidence that an answer needs; no bound when None."""
    structure: StructuredVote | None = None
    """Schema of the objects that are voted on; answers are voted on when None."""
    patience: float | None = None
    """Confidence from which outstanding members are not waited for; they are when None."""
    patience_after_s: float = 0.0
    """Seconds from the start of a round of calls before which `patience` does not count."""
    max_calls: int | None = None
    """Most calls of members per prompt; no bound when None."""
    sticky: StickyThreads | None = None
    """Members that each thread keeps; selected afresh at every turn when None."""

    same_replies: str | None = None
    """Why every member gives the same reply again, by the arguments of the call; None where none does."""
    reported: set[str] = field(default_factory=set)
    """Warnings that were logged: each is logged once per router."""

    @cached_property
    def decides_slowly(self) -> bool:
        """Whether a decision runs a model, which would block an event loop."""
        return is_slow(self.classifier.learned.encoder)

    @cached_property
    def joint_predictions(self) -> JointPredictions:
        """Probabilities for concurrent requests."""
        return JointPredictions(self.classifier)

    @cached_property
    def policy_name(self) -> str:
        """Name of the policy in the metadata."""
        return policy_name(self.policy)

    @cached_property
    def profiles(self) -> Mapping[str, Sequence[ModelProfile]]:
        """Profiles of each member's chat models."""
        return member_profiles(self.models)

    @cached_property
    def latencies(self) -> NDArray[np.float64]:
        """Recorded `latency_s` of each member in the classifier's order, (K,); NaN when unknown."""
        latencies = np.full(len(self.classifier.members), np.nan)
        for k, name in enumerate(self.classifier.members):
            known = self.models[name].latency_s
            if known is not None:
                latencies[k] = known
        return latencies

    @cached_property
    def parser_vote(self) -> VoteStrategy | None:
        """Vote that the parser prescribes; the policy's own when None."""
        if self.parser.vote is None:
            return None
        return get_pool_vote(self.parser.vote, self.classifier.pool)

"""Which query engine to ask, chosen by a classifier instead of an LLM call."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import QueryBundle
from llama_index.core.tools.types import ToolMetadata
from typing_extensions import override

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import MemberMismatchError
from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.selection.policies import Policy
from langchain_selectllm.selection.policy_names import parse_policy


class SelectLLMSelector(BaseSelector):
    """Selects the query engines of a `RouterQueryEngine` by P(correct), the most probable first; never none.

    The names of the query engine tools are the members that the classifier was fitted for. A selection of one
    engine is `policy="max_conf:1"`; any other policy selects several.
    """

    def __init__(self, classifier: SelectLLMClassifier, *, policy: str | Policy = "max_conf:1") -> None:
        """Check at once that classifier and policy belong together.

        Args:
            classifier: Fitted on outcomes whose members are the query engines.
            policy: How probabilities become a selection.

        Raises:
            PolicyError: If the policy is unknown, or does not fit the pool.
        """
        self._classifier = classifier
        self._policy = parse_policy(policy) if isinstance(policy, str) else policy
        decide_all(self._classifier, self._policy, [""])

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, policy: str | Policy = "max_conf:1", encoder_model: str | None = None
    ) -> Self:
        """The selector over a saved classifier.

        Args:
            folder: Artefact written by `selectllm train` or `save_pretrained`.
            policy: How probabilities become a selection.
            encoder_model: Model under the encoder; see `SelectLLMClassifier.from_pretrained`.

        Raises:
            ArtefactError: If the folder cannot be trusted or read.
            EncoderError: If the encoder's model cannot be loaded, or has to be named.
            PolicyError: If the policy is unknown, or does not fit the pool.
        """
        classifier = SelectLLMClassifier.from_pretrained(folder, encoder_model=encoder_model)
        return cls(classifier, policy=policy)

    @override
    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        indices = self._indices([choice.name for choice in choices])
        decision = decide_all(self._classifier, self._policy, [query.query_str])[0]
        ranked = sorted(set(decision.selected), key=lambda k: (-decision.probabilities[k], k))
        selections = [
            SingleSelection(index=indices[decision.members[k]], reason=f"p={decision.probabilities[k]:.2f}")
            for k in ranked
        ]
        return SelectorResult(selections=selections)

    @override
    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        # Encoders may take their time, which the event loop has not.
        return await asyncio.to_thread(self._select, choices, query)

    @override
    def _get_prompts(self) -> PromptDictType:
        return {}

    @override
    def _update_prompts(self, prompts: dict[str, Any]) -> None:
        """There is no prompt to update."""

    def _indices(self, names: Sequence[str | None]) -> dict[str, int]:
        members = self._classifier.members
        if sorted(map(str, names)) != sorted(members):
            raise MemberMismatchError(
                f"The classifier was fitted for members {members}; the choices are named {tuple(names)}. "
                "Name every query engine tool after one member, or fit on outcomes of these engines."
            )
        return {str(name): i for i, name in enumerate(names)}

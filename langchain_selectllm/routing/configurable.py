"""A router with fields that a request sets."""

from typing import Any, Self, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list
from langchain_core.runnables.configurable import RunnableConfigurableFields
from typing_extensions import override

from langchain_selectllm.fanout.concurrency import BoundedBatches, Configs
from langchain_selectllm.members.tool_binding import Tools
from langchain_selectllm.routing.runnable import BindableRunnable, EngineRunnable
from langchain_selectllm.routing.structured_vote import StructuredVote


class ConfigurableRouter(
    BindableRunnable, BoundedBatches, RunnableConfigurableFields[LanguageModelInput, AIMessage]
):
    """Result of `SelectLLMRouter.configurable_fields`; stays configurable when tools or a schema are bound.

    LangChain's own class would bind them to the router with its default fields, and an agent's requests would
    lose the fields they set.
    """

    @override
    def with_tools(self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any) -> Self:
        """The configurable router with tools; see the router's `bind_tools`."""
        router = self._router.with_tools(tools, tool_choice=tool_choice, **kwargs)
        return self.model_copy(update={"default": router})

    @override
    def with_structure(self, structure: StructuredVote) -> Self:
        """The configurable router whose members' objects are voted on."""
        return self.model_copy(update={"default": self._router.with_structure(structure)})

    def prepared(self, config: RunnableConfig) -> EngineRunnable:
        """The router with the fields that a request sets."""
        return cast("EngineRunnable", self.prepare(config)[0])

    @property
    def _router(self) -> EngineRunnable:
        return cast("EngineRunnable", self.default)

    @override
    def _batch_delegate(self, config: Configs, n_inputs: int) -> EngineRunnable | None:
        """The router that all prompts of a batch set, which encodes them together; None where they differ."""
        if not n_inputs:
            return None
        configs = get_config_list(config, n_inputs)
        fields = configs[0].get("configurable")
        for other in configs:
            if other.get("configurable") != fields:
                return None
        return self.prepared(configs[0])

"""A router some of whose fields are set per request."""

from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list
from langchain_core.runnables.configurable import RunnableConfigurableFields
from typing_extensions import override

from langchain_selectllm.fanout.batches import BoundedBatches
from langchain_selectllm.fanout.caller import Configs
from langchain_selectllm.members.tool_binding import Tools
from langchain_selectllm.routing.router import SelectLLMRouter
from langchain_selectllm.routing.schemas import Schema
from langchain_selectllm.routing.structured_output import StructuredVote, VoteBy, parsed


class ConfigurableRouter(BoundedBatches, RunnableConfigurableFields[LanguageModelInput, AIMessage]):
    """What `SelectLLMRouter.configurable_fields` returns: stays configurable when tools or a schema are bound.

    LangChain's own class would bind them to the router as it is by default, and what a request asks for would be lost in
    every agent.
    """

    def bind_tools(
        self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same, with tools; see the router's method.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        return self._with(self._router.with_tools(tools, tool_choice=tool_choice, **kwargs))

    def with_structured_output(
        self, schema: Schema, *, include_raw: bool = False, vote: VoteBy = "fields", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that returns objects; see the router's method.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        structure = StructuredVote(schema, vote)
        voting = self._with(self._router.model_copy(update={"structure": structure}))
        return parsed(voting, structure, include_raw=include_raw, ignored=kwargs)

    def prepared(self, config: RunnableConfig) -> SelectLLMRouter:
        """The router that a request asks for."""
        return cast("SelectLLMRouter", self.prepare(config)[0])

    @override
    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message of each prompt; bounded together, and encoded together where every prompt asks for the same."""
        router = self._shared(config, len(inputs))
        batch = super().batch if router is None else router.batch
        return batch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    @override
    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message of each prompt; bounded together, and encoded together where every prompt asks for the same."""
        router = self._shared(config, len(inputs))
        abatch = super().abatch if router is None else router.abatch
        return await abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    @property
    def _router(self) -> SelectLLMRouter:
        return cast("SelectLLMRouter", self.default)

    def _with(self, router: SelectLLMRouter) -> "ConfigurableRouter":
        return self.model_copy(update={"default": router})

    def _shared(self, config: Configs, n_inputs: int) -> SelectLLMRouter | None:
        """The router that all prompts of a batch ask for; None where they differ."""
        configs = get_config_list(config, n_inputs) if n_inputs else []
        asked = [one.get("configurable") for one in configs]
        if not asked or any(one != asked[0] for one in asked):
            return None
        return self.prepared(configs[0])

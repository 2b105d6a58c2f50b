"""SelectLLM under the name that LlamaIndex's integrations have."""

from langchain_selectllm.integrations.llama_index import (
    LlamaIndexChatModel,
    SelectLLM,
    SelectLLMDecisionEvent,
    SelectLLMSelector,
)

__all__ = ["LlamaIndexChatModel", "SelectLLM", "SelectLLMDecisionEvent", "SelectLLMSelector"]

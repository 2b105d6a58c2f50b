"""LlamaIndex integration: an LLM over a router, a selector for query engines, LlamaIndex LLMs as members."""

from langchain_selectllm._optional import require

require("llama_index.core", extra="llama-index", needed_by="langchain_selectllm.integrations.llama_index")

from langchain_selectllm.integrations.llama_index.instrumentation import SelectLLMDecisionEvent  # noqa: E402
from langchain_selectllm.integrations.llama_index.llm import SelectLLM  # noqa: E402 - error above: pip line
from langchain_selectllm.integrations.llama_index.member import LlamaIndexChatModel  # noqa: E402
from langchain_selectllm.integrations.llama_index.selector import SelectLLMSelector  # noqa: E402

__all__ = ["LlamaIndexChatModel", "SelectLLM", "SelectLLMDecisionEvent", "SelectLLMSelector"]

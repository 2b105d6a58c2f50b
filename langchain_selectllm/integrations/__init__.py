"""Routers inside other frameworks: LlamaIndex, agent middleware, LangChain's decision models."""

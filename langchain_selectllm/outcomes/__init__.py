"""Recorded outcomes: which member answered which query, and how well."""

from langchain_selectllm.outcomes.table import OutcomeTable

__all__ = ["OutcomeTable"]

"""Evaluation by replay: every system on the same recorded replies, with the controls beside it."""

from langchain_selectllm.evaluation.evaluate import evaluate
from langchain_selectllm.evaluation.report import Report

__all__ = ["Report", "evaluate"]

"""Replies in, canonical answers out: a reply without a readable answer abstains."""

from langchain_selectllm.answers.auto import get_extractor
from langchain_selectllm.answers.base import AnswerExtractor, ComparesAnswers, gold_answer, is_open_ended
from langchain_selectllm.answers.endings import read_answer

__all__ = [
    "AnswerExtractor",
    "ComparesAnswers",
    "get_extractor",
    "gold_answer",
    "is_open_ended",
    "read_answer",
]

"""Replies in, canonical answers out: a reply without a readable answer abstains."""

from langchain_selectllm.answers.auto import get_extractor
from langchain_selectllm.answers.base import AnswerExtractor, ComparesAnswers, gold_answer, is_open_ended
from langchain_selectllm.answers.callables import CallableExtractor
from langchain_selectllm.answers.choice import ChoiceExtractor
from langchain_selectllm.answers.code import CodeExtractor
from langchain_selectllm.answers.endings import read_answer
from langchain_selectllm.answers.inference import infer_answer_type
from langchain_selectllm.answers.json_value import JsonExtractor
from langchain_selectllm.answers.number import NumberExtractor
from langchain_selectllm.answers.text import TextExtractor

__all__ = [
    "AnswerExtractor",
    "CallableExtractor",
    "ChoiceExtractor",
    "CodeExtractor",
    "ComparesAnswers",
    "JsonExtractor",
    "NumberExtractor",
    "TextExtractor",
    "get_extractor",
    "gold_answer",
    "infer_answer_type",
    "is_open_ended",
    "read_answer",
]

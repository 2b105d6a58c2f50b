"""Recorded outcomes: which member answered which query, and how well."""

from langchain_selectllm.outcomes.combine import combine
from langchain_selectllm.outcomes.folders import write_records
from langchain_selectllm.outcomes.import_csv import import_questions
from langchain_selectllm.outcomes.readable import check_readable, reading_notice
from langchain_selectllm.outcomes.split import split_folder
from langchain_selectllm.outcomes.table import OutcomeTable

__all__ = [
    "OutcomeTable",
    "check_readable",
    "combine",
    "import_questions",
    "reading_notice",
    "split_folder",
    "write_records",
]

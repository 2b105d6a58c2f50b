"""Ask the few LLMs of a pool that will answer right, in parallel, and vote (SelectLLM; Maurya et al., 2025)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_selectllm.agreement import label_from_agreement
    from langchain_selectllm.chat_model import ChatSelectLLM
    from langchain_selectllm.classifier import SelectLLMClassifier
    from langchain_selectllm.collection.collect import acollect_outcomes, collect_outcomes
    from langchain_selectllm.collection.export import export_outcomes
    from langchain_selectllm.collection.grading import grade_outcomes
    from langchain_selectllm.embedded import embedded_models, load_embedded
    from langchain_selectllm.evaluation import Report, evaluate
    from langchain_selectllm.exceptions import SelectLLMError
    from langchain_selectllm.feedback import FeedbackLog
    from langchain_selectllm.judge import JudgeVote
    from langchain_selectllm.outcomes import OutcomeTable
    from langchain_selectllm.output_parser import VotingOutputParser
    from langchain_selectllm.policies import LabelledMaxConf, MaxConf, WeightedMaxConf
    from langchain_selectllm.registry import Member, ModelRegistry
    from langchain_selectllm.router import SelectLLMRouter
    from langchain_selectllm.semantic import SemanticAnswers
    from langchain_selectllm.tally import Tally
    from langchain_selectllm.voting import LogOddsVote, MajorityVote, WeightedVote

__all__ = [
    "ChatSelectLLM",
    "FeedbackLog",
    "JudgeVote",
    "LabelledMaxConf",
    "LogOddsVote",
    "MajorityVote",
    "MaxConf",
    "Member",
    "ModelRegistry",
    "OutcomeTable",
    "Report",
    "SelectLLMClassifier",
    "SelectLLMError",
    "SelectLLMRouter",
    "SemanticAnswers",
    "Tally",
    "VotingOutputParser",
    "WeightedMaxConf",
    "WeightedVote",
    "acollect_outcomes",
    "collect_outcomes",
    "embedded_models",
    "evaluate",
    "export_outcomes",
    "grade_outcomes",
    "label_from_agreement",
    "load_embedded",
]

_HOMES = {
    "ChatSelectLLM": "chat_model",
    "FeedbackLog": "feedback",
    "JudgeVote": "judge",
    "LabelledMaxConf": "policies",
    "LogOddsVote": "voting",
    "MajorityVote": "voting",
    "MaxConf": "policies",
    "Member": "registry",
    "ModelRegistry": "registry",
    "OutcomeTable": "outcomes",
    "Report": "evaluation",
    "SelectLLMClassifier": "classifier",
    "SelectLLMError": "exceptions",
    "SelectLLMRouter": "router",
    "SemanticAnswers": "semantic",
    "Tally": "tally",
    "VotingOutputParser": "output_parser",
    "WeightedMaxConf": "policies",
    "WeightedVote": "voting",
    "acollect_outcomes": "collection.collect",
    "collect_outcomes": "collection.collect",
    "embedded_models": "embedded",
    "evaluate": "evaluation",
    "export_outcomes": "collection.export",
    "grade_outcomes": "collection.grading",
    "label_from_agreement": "agreement",
    "load_embedded": "embedded",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""Calls the few LLMs of a pool that will answer correctly, in parallel, and votes (SelectLLM, 2025)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from langchain_selectllm.answers.semantic import SemanticAnswers as SemanticAnswers
    from langchain_selectllm.classifier.classifier import SelectLLMClassifier as SelectLLMClassifier
    from langchain_selectllm.classifier.pseudo_labels import label_from_agreement as label_from_agreement
    from langchain_selectllm.collection.collect import acollect_outcomes as acollect_outcomes
    from langchain_selectllm.collection.collect import collect_outcomes as collect_outcomes
    from langchain_selectllm.collection.export import export_outcomes as export_outcomes
    from langchain_selectllm.collection.grading import grade_outcomes as grade_outcomes
    from langchain_selectllm.embedded import embedded_models as embedded_models
    from langchain_selectllm.embedded import load_embedded as load_embedded
    from langchain_selectllm.evaluation import Report as Report
    from langchain_selectllm.evaluation import evaluate as evaluate
    from langchain_selectllm.exceptions import SelectLLMError as SelectLLMError
    from langchain_selectllm.members.catalogue import with_catalogue_prices as with_catalogue_prices
    from langchain_selectllm.members.registry import Member as Member
    from langchain_selectllm.members.registry import ModelRegistry as ModelRegistry
    from langchain_selectllm.outcomes import OutcomeTable as OutcomeTable
    from langchain_selectllm.outcomes.simulated import write_demo_outcomes as write_demo_outcomes
    from langchain_selectllm.prompts import whole_transcript as whole_transcript
    from langchain_selectllm.routing.chat_model import ChatSelectLLM as ChatSelectLLM
    from langchain_selectllm.routing.feedback import FeedbackLog as FeedbackLog
    from langchain_selectllm.routing.judge import JudgeVote as JudgeVote
    from langchain_selectllm.routing.output_parser import VotingOutputParser as VotingOutputParser
    from langchain_selectllm.routing.router import SelectLLMRouter as SelectLLMRouter
    from langchain_selectllm.routing.sticky import StickyThreads as StickyThreads
    from langchain_selectllm.selection.one_round_policies import LabelledMaxConf as LabelledMaxConf
    from langchain_selectllm.selection.one_round_policies import MaxConf as MaxConf
    from langchain_selectllm.selection.one_round_policies import WeightedMaxConf as WeightedMaxConf
    from langchain_selectllm.selection.policy_names import parse_policy as parse_policy
    from langchain_selectllm.voting.tally import Tally as Tally
    from langchain_selectllm.voting.votes import LogOddsVote as LogOddsVote
    from langchain_selectllm.voting.votes import MajorityVote as MajorityVote
    from langchain_selectllm.voting.votes import WeightedVote as WeightedVote

# Modules are imported when a name of theirs is first used: `import langchain_selectllm` takes milliseconds.
_MODULES = {
    "answers.semantic": ["SemanticAnswers"],
    "classifier.classifier": ["SelectLLMClassifier"],
    "classifier.pseudo_labels": ["label_from_agreement"],
    "collection.collect": ["acollect_outcomes", "collect_outcomes"],
    "collection.export": ["export_outcomes"],
    "collection.grading": ["grade_outcomes"],
    "embedded": ["embedded_models", "load_embedded"],
    "evaluation": ["Report", "evaluate"],
    "exceptions": ["SelectLLMError"],
    "members.catalogue": ["with_catalogue_prices"],
    "members.registry": ["Member", "ModelRegistry"],
    "outcomes": ["OutcomeTable"],
    "outcomes.simulated": ["write_demo_outcomes"],
    "prompts": ["whole_transcript"],
    "routing.chat_model": ["ChatSelectLLM"],
    "routing.feedback": ["FeedbackLog"],
    "routing.judge": ["JudgeVote"],
    "routing.output_parser": ["VotingOutputParser"],
    "routing.router": ["SelectLLMRouter"],
    "routing.sticky": ["StickyThreads"],
    "selection.one_round_policies": ["LabelledMaxConf", "MaxConf", "WeightedMaxConf"],
    "selection.policy_names": ["parse_policy"],
    "voting.tally": ["Tally"],
    "voting.votes": ["LogOddsVote", "MajorityVote", "WeightedVote"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

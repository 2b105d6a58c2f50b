"""The classifier in LangChain's own socket for decision models; needs langchain-core 1.8.

Import it from here: with an older langchain-core this module raises `MissingDependencyError`, and nothing
else does.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from langchain_core.messages import BaseMessage, HumanMessage
from pydantic import ConfigDict
from typing_extensions import override

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import MemberMismatchError, MissingDependencyError, PolicyError
from langchain_selectllm.prompts import last_human_text

try:
    # Typed as Any, since it is not there in every version that this package supports.
    decisions: Any = import_module("langchain_core.decisions")
    _Base: Any = decisions.BaseDecisionModel
except (ModuleNotFoundError, AttributeError) as error:
    raise MissingDependencyError(
        "SelectLLMDecisionModel needs langchain_core.decisions.BaseDecisionModel, which came with "
        'langchain-core 1.8. Install it: pip install "langchain-core>=1.8". SelectLLMRouter works without it.'
    ) from error


class SelectLLMDecisionModel(_Base):  # type: ignore[misc] # a class of an optional version
    """Predicts the members of a pool that answer a prompt correctly; for `ModelRouterMiddleware`.

    A `Choice` among members is answered with the most probable one, a `Noul` (yes or no) whose id is a
    member's name with that member's probability. The instructions of a question are not read: the prediction
    is always whether a member is correct. `probabilities` are calibrated P(correct) of each member, which
    need not sum to 1, and `confidence` is that of the chosen one.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str = "selectllm"
    classifier: SelectLLMClassifier
    """Fitted; its members are the labels of the questions."""

    @property
    def _provider(self) -> str:
        return "selectllm"

    @override
    def _classify(self, state: Any, questions: Mapping[str, Any]) -> Any:
        """The answers to questions about a state.

        Args:
            state: A string, messages, or a structure with messages in it.
            questions: `Choice` and `Noul` questions by id.

        Returns:
            A `ClassifierResponse` with one answer a question.

        Raises:
            MemberMismatchError: If a question is about something else than members.
            PolicyError: If a question is of another kind than `Choice` and `Noul`.
        """
        (row,) = self.classifier.predict_proba([state_text(state)])
        probabilities = dict(zip(self.classifier.members, row.tolist(), strict=True))
        answers = {name: self._answer(name, question, probabilities) for name, question in questions.items()}
        return decisions.ClassifierResponse(model=self.model, answers=answers, usage=None)

    def _answer(self, name: str, question: Any, probabilities: Mapping[str, float]) -> Any:
        if question.type == "noul":
            self._check([name], f"The id of the yes-or-no question is {name!r}")
            return decisions.NoulAnswer(type="noul", noul=probabilities[name])
        if question.type != "choice":
            raise PolicyError(
                f"Question {name!r} is of the type {question.type!r}. Ask a Choice among members, or a "
                "Noul with a member's name as its id."
            )
        labels = list(question.criteria)
        self._check(labels, f"Question {name!r} offers {', '.join(map(repr, labels))}")
        # The first member of the pool on a tie, as everywhere.
        offered = [member for member in self.classifier.members if member in labels]
        best = offered[int(np.argmax([probabilities[member] for member in offered]))]
        return decisions.ChoiceAnswer(
            type="choice",
            choice=best,
            probabilities={label: probabilities[label] for label in labels},
            confidence=probabilities[best],
        )

    def _check(self, names: Sequence[str], subject: str) -> None:
        unknown = [name for name in names if name not in self.classifier.members]
        if unknown:
            raise MemberMismatchError(
                f"{subject}; {', '.join(map(repr, unknown))} is no member of the classifier. Members: "
                f"{', '.join(self.classifier.members)}."
            )


def state_text(state: Any) -> str:
    """Text that is routed on: a string itself, or the last human message, wherever it is nested.

    Raises:
        PolicyError: If there is no text in the state.
    """
    if isinstance(state, str):
        return state
    messages = list(_messages(state))
    if not messages:
        raise PolicyError(f"The state is a {type(state).__name__} without text. Give a string, or messages.")
    return last_human_text(messages)


def _messages(state: Any) -> list[BaseMessage]:
    """Messages anywhere in the state, bare strings of lists as human ones, in order of appearance."""
    if isinstance(state, BaseMessage):
        return [state]
    if isinstance(state, str):
        return [HumanMessage(state)]
    if isinstance(state, Mapping):
        return [message for value in state.values() for message in _messages(value)]
    if isinstance(state, Sequence):
        return [message for value in state for message in _messages(value)]
    return []


_unfinished: frozenset[str] = getattr(SelectLLMDecisionModel, "__abstractmethods__", frozenset())
if _unfinished:
    raise MissingDependencyError(
        f"The installed langchain-core requires {', '.join(sorted(_unfinished))} of decision models, which "
        'this release does not support. Install a supported one: pip install "langchain-core>=1.8,<1.9".'
    )

"""Against a stand-in for `langchain_core.decisions` as documented for 1.8; against the real one where it is installed."""

import importlib
import sys
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import ensure_config, run_in_executor
from pydantic import BaseModel, Field

from langchain_selectllm.exceptions import MemberMismatchError, MissingDependencyError, PolicyError

# LangChain marks its decision models as beta, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

HOME = "langchain_selectllm.decision_model"
DECISIONS = "langchain_core.decisions"


class Noul(BaseModel):
    type: Literal["noul"] = "noul"
    instructions: Any
    criteria: Any = None


class Choice(BaseModel):
    type: Literal["choice"] = "choice"
    instructions: Any
    criteria: dict[str, Any] = Field(min_length=1)


class Score(BaseModel):
    type: Literal["score"] = "score"
    instructions: Any
    criteria: list[Any] = Field(min_length=2)


class NoulAnswer(BaseModel):
    type: Literal["noul"]
    noul: float = Field(ge=0.0, le=1.0)


class ChoiceAnswer(BaseModel):
    type: Literal["choice"]
    choice: str
    probabilities: dict[str, float]
    confidence: float = Field(ge=0.0, le=1.0)


class ClassifierResponse(BaseModel):
    model: str
    answers: dict[str, Annotated[NoulAnswer | ChoiceAnswer, Field(discriminator="type")]]
    usage: UsageMetadata | None = None

    @property
    def nouls(self):
        return {name: answer for name, answer in self.answers.items() if answer.type == "noul"}

    @property
    def choices(self):
        return {name: answer for name, answer in self.answers.items() if answer.type == "choice"}


class BaseDecisionModel(RunnableSerializable[dict, ClassifierResponse], ABC):
    model: str

    @property
    @abstractmethod
    def _provider(self) -> str: ...

    @abstractmethod
    def _classify(self, request: Any) -> ClassifierResponse: ...

    async def _aclassify(self, request: Any) -> ClassifierResponse:
        return await run_in_executor(None, self._classify, request)

    def invoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> ClassifierResponse:
        return self._call_with_config(self._classify, input, self._traced(config), run_type="llm")

    async def ainvoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> ClassifierResponse:
        return await self._acall_with_config(self._aclassify, input, self._traced(config), run_type="llm")

    def _traced(self, config):
        config = ensure_config(config)
        config["metadata"] = {**config["metadata"], "ls_provider": self._provider, "ls_model_name": self.model}
        return config


def stand_in(base=BaseDecisionModel):
    module = ModuleType(DECISIONS)
    for kind in (Noul, Choice, Score, NoulAnswer, ChoiceAnswer, ClassifierResponse):
        setattr(module, kind.__name__, kind)
    module.BaseDecisionModel = base
    return module


@pytest.fixture
def library(monkeypatch):
    """The module `langchain_core.decisions`: the real one where there is one."""
    try:
        module = importlib.import_module(DECISIONS)
    except ModuleNotFoundError:
        module = stand_in()
        monkeypatch.setitem(sys.modules, DECISIONS, module)
    monkeypatch.delitem(sys.modules, HOME, raising=False)
    yield module
    sys.modules.pop(HOME, None)


@pytest.fixture
def decide(library, fitted):
    return importlib.import_module(HOME).SelectLLMDecisionModel(classifier=fitted)


def ask(**questions):
    return {"state": "What is 2 + 2?", "questions": questions}


def test_a_choice_among_members_is_the_most_probable_one(library, decide, fitted):
    probabilities = dict(zip(fitted.members, fitted.predict_proba(["What is 2 + 2?"])[0].tolist(), strict=True))
    offered = list(fitted.members[1:4])
    question = library.Choice(instructions="Which?", criteria=dict.fromkeys(offered, "fits"))
    answer = decide.invoke(ask(model_route=question)).choices["model_route"]
    assert answer.choice == max(offered, key=probabilities.get)
    assert answer.probabilities == pytest.approx({name: probabilities[name] for name in offered})
    assert answer.confidence == pytest.approx(probabilities[answer.choice])


async def test_yes_or_no_about_a_member_is_its_probability_sync_and_async(library, decide, fitted):
    expected = fitted.predict_proba(["What is 2 + 2?"])[0]
    questions = {name: library.Noul(instructions="Is it correct?") for name in fitted.members}
    for response in (decide.invoke(ask(**questions)), await decide.ainvoke(ask(**questions))):
        assert [response.nouls[name].noul for name in fitted.members] == pytest.approx(expected.tolist())
        assert response.model == "selectllm"


def test_the_last_human_message_of_the_state_is_routed_on(library, decide, fitted):
    name = fitted.members[0]
    expected = fitted.predict_proba(["What is 2 + 2?"])[0][0]
    messages = [SystemMessage("Be kind."), HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("What is 2 + 2?")]
    for state in ("What is 2 + 2?", messages[-1], messages, {"messages": messages, "step": 3}, ["Hi", "What is 2 + 2?"]):
        response = decide.invoke({"state": state, "questions": {name: library.Noul(instructions="?")}})
        assert response.nouls[name].noul == pytest.approx(expected)


def test_what_it_cannot_answer_is_refused(library, decide):
    with pytest.raises(MemberMismatchError, match="offers 'fast', 'powerful'; 'fast', 'powerful' is no member"):
        decide.invoke(ask(r=library.Choice(instructions="?", criteria={"fast": None, "powerful": None})))
    with pytest.raises(MemberMismatchError, match="'urgent' is no member"):
        decide.invoke(ask(urgent=library.Noul(instructions="?")))
    with pytest.raises(PolicyError, match="of the type 'score'"):
        decide.invoke(ask(r=library.Score(instructions="?", criteria=["a", "b"])))
    with pytest.raises(PolicyError, match="a int without text"):
        decide.invoke({"state": 3, "questions": {}})


async def test_a_middleware_that_routes_by_choice_runs_offline(library, decide, fitted):
    """What `ModelRouterMiddleware` of langchain 1.5 does with its classifier, on the installed langchain."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import AgentMiddleware

    from langchain_selectllm.testing import ReplayChatModel

    models = {name: ReplayChatModel(model=name, default=f"I am {name}.") for name in fitted.members}

    class Routed(AgentMiddleware):
        def __init__(self):
            super().__init__()
            self.question = library.Choice(instructions="Pick.", criteria=dict.fromkeys(models, "any task"))

        def wrap_model_call(self, request, handler):
            last = next(m for m in reversed(request.messages) if isinstance(m, HumanMessage))
            answer = decide.invoke({"state": last, "questions": {"model_route": self.question}}).choices["model_route"]
            return handler(request.override(model=models[answer.choice]))

    agent = create_agent(models[fitted.members[-1]], middleware=[Routed()])
    best = fitted.members[fitted.predict_proba(["What is 2 + 2?"])[0].argmax()]
    assert agent.invoke({"messages": [HumanMessage("What is 2 + 2?")]})["messages"][-1].text == f"I am {best}."


def test_without_the_socket_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, DECISIONS, None)
    monkeypatch.delitem(sys.modules, HOME, raising=False)
    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-core>=1\.8"'):
        importlib.import_module(HOME)


def test_a_socket_of_another_shape_is_said_at_import(monkeypatch):
    class Newer(BaseDecisionModel):
        @abstractmethod
        def _decide(self, request): ...

    monkeypatch.setitem(sys.modules, DECISIONS, stand_in(Newer))
    monkeypatch.delitem(sys.modules, HOME, raising=False)
    with pytest.raises(MissingDependencyError, match="asks decision models for _decide"):
        importlib.import_module(HOME)

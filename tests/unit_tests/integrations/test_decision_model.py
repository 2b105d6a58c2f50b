"""Against a stand-in for `langchain_core.decisions` as documented for 1.8; against the real one where it is installed."""

import asyncio
import importlib
import inspect
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
from langchain_selectllm.testing import ReplayChatModel
from tests.support.traces import Recorder, flatten

# LangChain marks its decision models as beta, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

HOME = "langchain_selectllm.integrations.decision_model"
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
    def _classify(self, state: Any, questions: dict[str, Any]) -> ClassifierResponse: ...

    async def _aclassify(self, state: Any, questions: dict[str, Any]) -> ClassifierResponse:
        return await run_in_executor(None, self._classify, state, questions)

    def invoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> ClassifierResponse:
        return self._call_with_config(self._answers, input, self._traced(config), run_type="llm")

    async def ainvoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> ClassifierResponse:
        return await self._acall_with_config(self._aanswers, input, self._traced(config), run_type="llm")

    def _answers(self, request):
        return self._classify(request["state"], dict(request["questions"]))

    async def _aanswers(self, request):
        return await self._aclassify(request["state"], dict(request["questions"]))

    def _traced(self, config):
        config = ensure_config(config)
        config["metadata"] = {
            **config["metadata"],
            "ls_provider": self._provider,
            "ls_model_name": self.model,
        }
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
    probabilities = dict(
        zip(fitted.members, fitted.predict_proba(["What is 2 + 2?"])[0].tolist(), strict=True)
    )
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
    messages = [
        SystemMessage("Be kind."),
        HumanMessage("Hi"),
        AIMessage("Hello"),
        HumanMessage("What is 2 + 2?"),
    ]
    for state in (
        "What is 2 + 2?",
        messages[-1],
        messages,
        {"messages": messages, "step": 3},
        ["Hi", "What is 2 + 2?"],
    ):
        response = decide.invoke({"state": state, "questions": {name: library.Noul(instructions="?")}})
        assert response.nouls[name].noul == pytest.approx(expected)


def test_what_it_cannot_answer_is_refused(library, decide):
    with pytest.raises(
        MemberMismatchError, match="offers 'fast', 'powerful'; 'fast', 'powerful' is no member"
    ):
        decide.invoke(ask(r=library.Choice(instructions="?", criteria={"fast": None, "powerful": None})))
    with pytest.raises(MemberMismatchError, match="'urgent' is no member"):
        decide.invoke(ask(urgent=library.Noul(instructions="?")))
    with pytest.raises(PolicyError, match="of the type 'score'"):
        decide.invoke(ask(r=library.Score(instructions="?", criteria=["a", "b"])))
    with pytest.raises(PolicyError, match="a int without text"):
        decide.invoke({"state": 3, "questions": {}})


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_langchains_model_router_routes_an_agent_by_our_probabilities_offline(decide, fitted, mode):
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRouterMiddleware"):
        pytest.skip("ModelRouterMiddleware came with langchain 1.5; `make unit-1.5` runs this test")
    from langchain.agents import create_agent

    models = {name: ReplayChatModel(model=name, default=f"I am {name}.") for name in fitted.members}
    choices = {
        name: middleware.ModelChoice(model=model, criteria="any task") for name, model in models.items()
    }
    router = middleware.ModelRouterMiddleware(
        choices=choices, instructions="Who is right?", classifier=decide
    )
    agent = create_agent(ReplayChatModel(default="nobody chose me"), middleware=[router])
    tracer = Recorder()
    given, config = {"messages": [HumanMessage("What is 2 + 2?")]}, {"callbacks": [tracer]}
    result = agent.invoke(given, config) if mode == "invoke" else asyncio.run(agent.ainvoke(given, config))
    probabilities = fitted.predict_proba(["What is 2 + 2?"])[0]
    best = fitted.members[probabilities.argmax()]
    assert result["messages"][-1].text == f"I am {best}."
    assert result["model_route"].choice == best
    assert result["model_route"].probabilities == pytest.approx(
        dict(zip(fitted.members, probabilities, strict=True))
    )
    (decided,) = [run for run in flatten(tracer.roots[0]) if run.name == "SelectLLMDecisionModel"]
    assert decided.extra["metadata"]["ls_provider"] == "selectllm"


def test_the_stand_in_has_the_shape_of_the_real_socket(library):
    if library.BaseDecisionModel is BaseDecisionModel:
        pytest.skip("langchain_core.decisions came with langchain-core 1.8; `make unit-1.5` runs this test")
    for name in ("_classify", "_aclassify"):
        ours, real = (
            inspect.signature(getattr(base, name)) for base in (BaseDecisionModel, library.BaseDecisionModel)
        )
        assert list(ours.parameters) == list(real.parameters)
    for kind in (Noul, Choice, Score, NoulAnswer, ChoiceAnswer, ClassifierResponse):
        assert set(kind.model_fields) <= set(getattr(library, kind.__name__).model_fields)


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
    with pytest.raises(MissingDependencyError, match="requires _decide of decision models"):
        importlib.import_module(HOME)

"""The selector of query engines."""

import asyncio
import subprocess
import sys

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_selector import BaseSelector
from llama_index.core.base.response.schema import Response
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.tools import QueryEngineTool

from langchain_selectllm.exceptions import MemberMismatchError, PolicyError
from langchain_selectllm.integrations.llama_index import SelectLLMSelector


class Engine(BaseQueryEngine):
    """Answers every query with its name."""

    def __init__(self, name):
        super().__init__(None)
        self.name = name

    def _query(self, query_bundle):
        return Response(response=self.name)

    async def _aquery(self, query_bundle):
        return Response(response=self.name)

    def _get_prompt_modules(self):
        return {}


def engines(names):
    return [
        QueryEngineTool.from_defaults(Engine(name), name=name, description=f"Asks {name}.") for name in names
    ]


def route(engine, mode, query):
    return engine.query(query) if mode == "sync" else asyncio.run(engine.aquery(query))


sync_and_async = pytest.mark.parametrize("mode", ["sync", "async"])
READING = "How many letters has the word river?"


@sync_and_async
def test_a_router_query_engine_asks_the_most_probable_engine(fitted, mode):
    # In another order than the classifier's: names decide, not places.
    names = list(reversed(fitted.members))
    engine = RouterQueryEngine(SelectLLMSelector(fitted), engines(names), llm=MockLLM())
    response = route(engine, mode, READING)
    probability = fitted.predict_proba([READING])[0].max()
    assert str(response) == "reader"
    assert response.metadata["selector_result"].reason == f"p={probability:.2f}"
    assert response.metadata["selector_result"].ind == names.index("reader")


@sync_and_async
def test_several_engines_are_asked_the_most_probable_first(fitted, mode):
    engine = RouterQueryEngine(
        SelectLLMSelector(fitted, policy="max_conf:2"), engines(fitted.members), llm=MockLLM()
    )
    response = route(engine, mode, READING)
    probabilities = fitted.predict_proba([READING])[0]
    best = sorted(range(5), key=lambda k: -probabilities[k])[:2]
    assert response.metadata["selector_result"].inds == best
    assert response.metadata["selector_result"].reasons == [f"p={probabilities[k]:.2f}" for k in best]
    assert all(fitted.members[k] in str(response) for k in best)


@sync_and_async
def test_a_selection_is_never_empty(fitted, mode):
    selector = SelectLLMSelector(fitted, policy="labelled_max_conf:3")
    choices = [tool.metadata for tool in engines(fitted.members)]
    for query in ("", "zzz", READING):
        result = (
            selector.select(choices, query)
            if mode == "sync"
            else asyncio.run(selector.aselect(choices, query))
        )
        assert 1 <= len(result.inds) <= 3
        assert len(result.inds) == len(result.reasons) == len(set(result.inds))


def test_choices_must_be_named_after_the_members(fitted):
    with pytest.raises(MemberMismatchError, match=r"the choices are named \('a', None\)"):
        SelectLLMSelector(fitted).select([engines("a")[0].metadata, "only described"], "x")
    with pytest.raises(PolicyError, match="does not fit the pool"):
        SelectLLMSelector(fitted, policy="max_conf:6")


def test_a_selector_loads_a_saved_classifier_and_has_no_prompts(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    selector = SelectLLMSelector.from_pretrained(tmp_path / "router", policy="all_members")
    selector.update_prompts({})
    assert isinstance(selector, BaseSelector)
    assert selector.get_prompts() == {}
    assert len(selector.select([tool.metadata for tool in engines(fitted.members)], "x").inds) == 5


def test_without_llama_index_the_error_names_the_pip_line():
    code = """
import sys
sys.modules["llama_index"] = None
from langchain_selectllm.exceptions import MissingDependencyError
try:
    import langchain_selectllm.integrations.llama_index
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs llama-index" in done.stdout
    assert "[llama-index]" in done.stdout

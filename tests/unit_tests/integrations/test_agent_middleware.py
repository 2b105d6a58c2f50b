import asyncio
import subprocess
import sys
import threading

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware
from langchain_selectllm.testing import ReplayChatModel
from tests.support.agents import QUESTION, make_model, modes, run, streamed, words_of
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import Sum, add
from tests.support.traces import Recorder, flatten

NEVER = ToolModel(model="never", error=AssertionError("the agent's own model was called"))


def agent(fitted, tools=(add,), changes=None, models=None, before=(), **settings):
    fields = {name: settings.pop(name) for name in ("policy",) if name in settings}
    middleware = SelectLLMMiddleware(make_model(fitted, "router", changes, models=models, **fields))
    return create_agent(NEVER, list(tools), middleware=[*before, middleware], **settings)


@modes
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_model_call_is_voted_on(fitted, mode, wrapped):
    models = tool_models(guesser={"args": {"a": 30, "b": 40}}, reader={"error": RuntimeError("down")})
    if wrapped:
        models = {
            name: model.bind(stop=["s"]).with_retry(stop_after_attempt=1) for name, model in models.items()
        }
    messages = run(agent(fitted, models=models), mode, QUESTION)["messages"]
    assert messages[1].tool_calls[0]["args"] == {"a": 3, "b": 4}
    assert messages[-1].content == "The tool said: 7"
    for message in messages:
        if isinstance(message, AIMessage):
            told = message.response_metadata["selectllm"]
            assert (told["calls"], list(told["failures"])) == (5, ["reader"])


@modes
def test_members_without_tools_leave_the_selection(fitted, mode):
    models = {**tool_models(), "reader": ReplayChatModel(model="reader", default="no tools")}
    messages = run(agent(fitted, models=models), mode, QUESTION)["messages"]
    assert messages[1].response_metadata["selectllm"]["left_out"] == {"reader": "cannot call tools"}
    plain = run(agent(fitted, tools=(), models=models), mode, QUESTION)["messages"]
    assert plain[-1].response_metadata["selectllm"]["left_out"] == {}


@modes
def test_a_member_without_an_async_form_is_run_in_a_thread(fitted, mode):
    class SyncOnly(ToolModel):
        async def _agenerate(self, *args, **kwargs):
            raise NotImplementedError

    models = {name: SyncOnly(model=name) for name in fitted.members}
    models["reader"] = models["reader"].bind(stop=["s"])
    for tools, said in (((add,), "The tool said: 7"), ((), "Hello from")):
        message = run(agent(fitted, tools, models=models), mode, QUESTION)["messages"][-1]
        told = message.response_metadata["selectllm"]
        assert (message.text.startswith(said), told["calls"], told["failures"]) == (True, 5, {})


async def test_a_member_whose_async_form_is_langchains_default_keeps_off_asyncios_threads(fitted):
    threads = []

    class DefaultAsync(ToolModel):
        _agenerate = BaseChatModel._agenerate

        def _generate(self, *args, **kwargs):
            threads.append(threading.current_thread().name)
            return super()._generate(*args, **kwargs)

    models = {name: DefaultAsync(model=name) for name in fitted.members}
    await agent(fitted, (), models=models).ainvoke(QUESTION)
    assert len(threads) == 5
    assert not [name for name in threads if name.startswith("asyncio")]


@modes
def test_a_structured_response_is_the_winners(fitted, mode):
    changes = {
        "calculator": {"args": {"total": 7}},
        "reader": {"args": {"total": 7}},
        "guesser": {"args": {"total": 8}},
    }
    changes |= {"clockmaker": {"args": {"total": 7}}, "generalist": {"args": {"total": "many"}}}
    result = run(agent(fitted, (), changes, response_format=Sum), mode, {"messages": "What is the total?"})
    assert result["structured_response"] == Sum(total=7)
    assert result["messages"][1].response_metadata["selectllm"]["support"] == 0.6


@modes
def test_member_runs_stand_under_the_model_node_tagged_by_name(fitted, mode):
    tracer, usage = Recorder(), UsageMetadataCallbackHandler()
    run(agent(fitted, ()), mode, QUESTION, {"callbacks": [tracer, usage]})
    (root,) = tracer.roots
    node = next(run for run in flatten(root) if run.name == "model")
    members = [run for run in flatten(node) if run.run_type in {"llm", "chat_model"}]
    tags = {tag for run in members for tag in run.tags if tag.startswith("selectllm:")}
    assert tags == {f"selectllm:member:{name}" for name in fitted.members}
    assert sum(counted["input_tokens"] for counted in usage.usage_metadata.values()) == 50


@modes
@pytest.mark.parametrize("policy", ["all_members", "single_best"])
def test_no_members_tokens_leak_into_the_stream_of_messages(fitted, mode, policy):
    changes = {name: {"says": "the agreed words"} for name in fitted.members}
    assert words_of(streamed(agent(fitted, (), changes, policy=policy), mode, QUESTION)) == "the agreed words"


def test_middleware_before_it_repeats_the_vote(fitted):
    models = tool_models(**{name: {"error": RuntimeError("down")} for name in fitted.members})
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0, on_failure="error")
    with pytest.raises(FanOutError):
        agent(fitted, models=models, before=[retry]).invoke(QUESTION)
    assert [len(model.calls) for model in models.values()] == [2] * 5


def test_without_langchain_the_extra_is_named():
    code = (
        "import sys\nsys.modules['langchain'] = None\n"
        "try:\n    import langchain_selectllm.integrations.agent_middleware\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SelectLLMMiddleware needs langchain. Install it: pip install " in done.stdout
    assert "[langchain]" in done.stdout


def test_concurrent_agents_do_not_mix_their_responses(fitted):
    shared = agent(fitted)

    async def gather():
        questions = [{"messages": f"Add {i} and 1."} for i in range(6)]
        return await asyncio.gather(*(shared.ainvoke(question) for question in questions))

    assert [result["messages"][-1].content for result in asyncio.run(gather())] == [
        f"The tool said: {i + 1}" for i in range(6)
    ]

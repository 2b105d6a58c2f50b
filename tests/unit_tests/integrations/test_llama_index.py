"""The LlamaIndex LLM that calls and votes."""

import asyncio
import json
import threading

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import (
    ChatMessage,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms.llm import LLM

from langchain_selectllm import Member, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.exceptions import MemberMismatchError, PolicyError
from langchain_selectllm.integrations.llama_index import LlamaIndexChatModel, SelectLLM
from langchain_selectllm.testing import ReplayChatModel, replay_models
from tests.support.llamas import (
    FIELDS,
    LETTERS,
    PlainLlama,
    ScriptedLlama,
    ask,
    collect,
    every_mode,
    llamas,
    make,
    user,
)
from tests.support.worlds import scripted


@every_mode
def test_the_reply_is_the_winners_with_the_decision_beside_it(fitted, mode):
    response, text = ask(make(fitted), mode)
    told = response.additional_kwargs["selectllm"]
    assert text == "The answer is (A)."
    assert (told["answer"], told["answers"], told["calls"]) == ("A", LETTERS, 5)
    assert told["vote"]["scores"] == {"A": 3.0, "B": 1.0, "C": 1.0}
    assert response.raw["selectllm"] == told
    assert response.raw["model"] == told["winner"]
    assert json.loads(json.dumps(told)) == told


@every_mode
def test_members_of_both_frameworks_vote_together(fitted, mode):
    both = scripted(LETTERS) | {
        "reader": ScriptedLlama("The answer is (A)."),
        "guesser": PlainLlama(reply="The answer is (C)."),
    }
    told = ask(make(fitted, both), mode)[0].additional_kwargs["selectllm"]
    assert told["answers"] == LETTERS
    assert told["failures"] == {}


@every_mode
def test_failing_members_are_recorded_and_the_rest_vote(fitted, mode):
    told = ask(make(fitted, llamas(LETTERS, errors=("calculator", "guesser"))), mode)[0].additional_kwargs[
        "selectllm"
    ]
    assert told["failures"]["guesser"] == {"error": "RuntimeError", "message": "guesser is down"}
    assert set(told["answers"]) == {"clockmaker", "generalist", "reader"}


def test_it_answers_exactly_as_the_router_does(fitted, demo):
    fields = {
        "policy": "weighted_max_conf:3",
        "parser": VotingOutputParser(answer="number"),
        "early_stop": False,
    }
    router = SelectLLMRouter(classifier=fitted, models=replay_models(demo[1]), **fields)
    replayed = {
        name: ScriptedLlama(lambda messages, tools, m=model: m.invoke(messages[-1].content).text, model=name)
        for name, model in replay_models(demo[1]).items()
    }

    # The scripted models measure no time and count no tokens.
    differing = {"latencies_s", "usage", "usage_by_member", "usage_partial"}

    def essence(told):
        return {key: value for key, value in told.items() if key not in differing}

    for prompt in demo[1].texts[:10]:
        wanted = router.invoke(prompt)
        for llm in (SelectLLM(router=router), make(fitted, replayed, **fields)):
            for mode in ("complete", "achat"):
                response, text = ask(llm, mode, prompt)
                assert text == wanted.text
                assert essence(response.additional_kwargs["selectllm"]) == essence(
                    wanted.response_metadata["selectllm"]
                )


def test_it_loads_a_saved_classifier(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    llm = SelectLLM.from_pretrained(tmp_path / "router", llamas(LETTERS), **FIELDS)
    assert llm.complete("x").text == "The answer is (A)."


def test_mistakes_are_heard_of_at_construction(fitted):
    with pytest.raises(MemberMismatchError, match="Missing from the registry: 'reader'"):
        make(fitted, llamas(dict.fromkeys(list(LETTERS)[:4], "A")))
    with pytest.raises(PolicyError, match="does not fit the pool"):
        make(fitted, policy="max_conf:6")


def test_it_is_a_llama_index_llm_whose_records_hold_no_member(fitted):
    llm = make(fitted)
    assert isinstance(llm, LLM)
    assert llm.class_name() == "SelectLLM"
    assert "router" not in llm.to_dict()
    assert "router" not in llm.to_payload()


def test_its_windows_are_the_smallest_of_the_members_unless_told_otherwise(fitted):
    models = llamas(LETTERS) | {
        "guesser": PlainLlama(),
        "reader": ReplayChatModel(profile={"max_input_tokens": 1500}),
    }
    metadata = make(fitted, models).metadata
    assert (metadata.context_window, metadata.num_output) == (1500, 64)
    assert metadata.is_chat_model
    assert metadata.model_name == "selectllm(calculator, clockmaker, generalist, guesser, reader)"
    assert SelectLLM(router=make(fitted).router, context_window=99).metadata.context_window == 99


def test_tokens_are_summed_over_the_members_and_counted_once(fitted):
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = make(fitted)
    llm.callback_manager = CallbackManager([counter])
    response = llm.chat(user("x"))
    assert response.raw["usage"] == {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
    assert response.additional_kwargs["total_tokens"] == 70
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (50, 20)


def test_prices_of_members_become_a_cost(fitted):
    priced = {name: Member(llm, 1.0, 2.0) for name, llm in llamas(LETTERS).items()}
    told = make(fitted, priced).complete("x").additional_kwargs["selectllm"]
    assert told["cost_usd"] == pytest.approx((50 * 1 + 20 * 2) / 1e6)


def test_settings_and_the_whole_conversation_reach_every_member(fitted):
    models = llamas(LETTERS)
    conversation = [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="one"),
        ChatMessage(role="assistant", content="two"),
        ChatMessage(role="user", content="three"),
    ]
    make(fitted, models).chat(conversation, temperature=0.3)
    for llm in models.values():
        (asked,) = llm.asked
        assert [(m.role.value, m.content) for m in asked["messages"]] == [
            (m.role.value, m.content) for m in conversation
        ]
        assert asked["temperature"] == 0.3


def test_the_last_user_message_is_routed_on_unless_the_router_says_otherwise(fitted):
    wrapped = "Context information is below.\nQuery: Add 3 and 4.\nAnswer:"
    plain = make(fitted).complete(wrapped).additional_kwargs["selectllm"]["probabilities"]
    cut = make(fitted, text_of=lambda ms: ms[-1].text.partition("Query: ")[2].partition("\n")[0])
    probabilities = cut.complete(wrapped).additional_kwargs["selectllm"]["probabilities"]
    assert list(probabilities.values()) == fitted.predict_proba(["Add 3 and 4."])[0].tolist()
    assert plain != probabilities


def test_completion_prompts_are_formatted_once(fitted):
    models = llamas(LETTERS)
    llm = make(fitted, models)
    llm.completion_to_prompt = lambda text: f"<{text}>"
    llm.complete("x")
    llm.complete("y", formatted=True)
    assert [asked["messages"][0].content for asked in models["reader"].asked] == ["<x>", "y"]


def test_an_llm_without_async_runs_in_a_thread_so_that_the_loop_is_free(fitted):
    models = {name: PlainLlama() for name in LETTERS}
    asyncio.run(make(fitted, models).achat(user("x")))

    async def stream():
        return [chunk.text async for chunk in LlamaIndexChatModel(llm=models["reader"]).astream("x")]

    assert "".join(asyncio.run(stream())) == "The answer is (B)."
    assert all(threading.main_thread() not in llm.threads for llm in models.values())


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat", "stream_complete", "astream_complete"])
def test_one_chosen_member_streams_as_it_goes(fitted, mode):
    llm = make(fitted, policy="max_conf:1")
    given = user("Add 3 and 4.") if mode.endswith("chat") else "Add 3 and 4."
    stream = getattr(llm, mode)(given)
    pieces = asyncio.run(collect(stream)) if mode.startswith("a") else list(stream)
    assert [piece.delta for piece in pieces if piece.delta] == ["The", " answer", " is", " (A)."]
    assert str(pieces[1]) in {"The answer", "assistant: The answer"}
    assert pieces[-1].additional_kwargs["selectllm"]["calls"] == 1
    assert pieces[-1].raw["usage"]["total_tokens"] == 14


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat"])
def test_several_chosen_members_stream_the_winners_words_after_the_vote(fitted, mode):
    stream = getattr(make(fitted), mode)(user("x"))
    pieces = asyncio.run(collect(stream)) if mode == "astream_chat" else list(stream)
    assert "".join(piece.delta for piece in pieces) == "The answer is (A)."
    assert pieces[-1].message.content == "The answer is (A)."
    assert pieces[-1].raw["selectllm"]["calls"] == 5


def test_cancelling_a_call_cancels_every_member(fitted):
    cancelled = []
    all_called = asyncio.Barrier(6)

    class Waiting(ScriptedLlama):
        async def achat(self, messages, **kwargs):
            try:
                await all_called.wait()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(self.model)
                raise

    async def give_up():
        task = asyncio.create_task(
            make(fitted, {name: Waiting(model=name) for name in LETTERS}).achat(user("x"))
        )
        await all_called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert sorted(cancelled) == sorted(LETTERS)

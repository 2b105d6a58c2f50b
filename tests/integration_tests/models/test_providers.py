"""Real client packages as members, against a loopback server that speaks their wire protocols, with faults."""

import asyncio
import gc

import pytest

from langchain_selectllm import MajorityVote, SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.exceptions import FanOutError
from tests.support.small_models import byte_tokenizer, save_llama
from tests.support.waiting import DEADLINE_S, until
from tests.support.wire_server import FAULTS, WireServer
from tests.support.worlds import score_table

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    # langchain-openai shares its async connections among all models of a process, and connections belong to one loop.
    pytest.mark.asyncio(loop_scope="module"),
]

ANSWER_B = "says:The answer is (B)."


@pytest.fixture(scope="module")
def server():
    with WireServer().running() as running:
        yield running
    # Clients that nobody closed warn when they are collected: here, not in the middle of another test.
    gc.collect()


@pytest.fixture(autouse=True)
def keyless(monkeypatch):
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "ANTHROPIC_API_KEY",
        "OLLAMA_HOST",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def openai(server, model, **kwargs):
    package = pytest.importorskip("langchain_openai")
    return package.ChatOpenAI(
        model=model, base_url=f"{server.url}/v1", api_key="none", max_retries=0, stream_usage=True, **kwargs
    )


def anthropic(server, model):
    package = pytest.importorskip("langchain_anthropic")
    return package.ChatAnthropic(
        model=model, base_url=server.url, api_key="none", max_retries=0, max_tokens=64
    )


def ollama(server, model):
    package = pytest.importorskip("langchain_ollama")
    return package.ChatOllama(model=model, base_url=server.url)


PROVIDERS = [openai, anthropic, ollama]


def routed(models, answer="choice", **kwargs):
    n = len(models)
    classifier = SelectLLMClassifier().fit(score_table([[1] + [0] * (n - 1), [0] + [1] * (n - 1)] * 6))
    parser = VotingOutputParser(answer=answer, vote=MajorityVote())
    members = {f"m{k}": model for k, model in enumerate(models)}
    return SelectLLMRouter(
        classifier=classifier,
        models=members,
        policy="all_members",
        parser=parser,
        **{"early_stop": False, **kwargs},
    )


def told(message):
    return message.response_metadata["selectllm"]


async def call(router, how):
    if how == "invoke":
        return router.invoke("Which?")
    if how == "ainvoke":
        return await router.ainvoke("Which?")
    if how == "batch":
        return router.batch(["Which?", "Which one?"])[1]
    chunks = list(router.stream("Which?"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_members_of_a_provider_vote_and_their_tokens_are_summed(server, provider, how):
    models = [provider(server, model) for model in (ANSWER_B, "says:The answer is (A).", ANSWER_B)]
    message = await call(routed(models), how)
    assert message.text == "The answer is (B)."
    assert told(message)["answers"] == {"m0": "B", "m1": "A", "m2": "B"}
    assert message.usage_metadata["total_tokens"] == 27
    assert (message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]) == (21, 6)


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"hang"}))
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_one_members_fault_is_recorded_and_the_others_vote(server, provider, fault, how):
    if fault == "truncated" and provider is anthropic:
        pytest.skip("the server cuts the replies of the other protocols")
    # The fault is known without a deadline.
    message = await call(routed([provider(server, model) for model in (ANSWER_B, fault, ANSWER_B)]), how)
    assert told(message)["answer"] == "B"
    assert list(told(message)["failures"]) == ["m1"]
    assert told(message)["failures"]["m1"]["error"]
    assert (told(message)["calls"], told(message)["cost_usd"]) == (3, None)


async def test_members_of_all_providers_that_hang_cost_no_more_than_the_deadline(server):
    """All of them at once: the deadline is long enough for the others on a busy machine."""
    routers = [
        routed([provider(server, model) for model in (ANSWER_B, "hang", ANSWER_B)], deadline_s=DEADLINE_S)
        for provider in PROVIDERS
    ]
    asked = [router.ainvoke("Which?") for router in routers]
    asked += [asyncio.to_thread(router.invoke, "Which?") for router in routers]
    for message in await asyncio.gather(*asked):
        assert told(message)["answer"] == "B"
        assert {name: failure["error"] for name, failure in told(message)["failures"].items()} == {
            "m1": "DeadlineError"
        }
        assert (told(message)["calls"], told(message)["cost_usd"]) == (3, None)


async def test_cancelling_closes_the_connections_of_members_that_hang(server):
    router = routed([openai(server, "hang"), openai(server, "hang")])
    server.cancelled.clear()
    before = len(server.requests)
    task = asyncio.create_task(router.ainvoke("Which?"))
    await until(lambda: len(server.requests) == before + 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: len(server.cancelled) == 2)
    assert server.cancelled == ["hang", "hang"]


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_when_all_fail_every_cause_is_told(server, how):
    router = routed([openai(server, model) for model in ("status-500", "status-429", "truncated")])
    with pytest.raises(FanOutError, match="All 3 called members failed") as raised:
        await call(router, how)
    assert raised.value.members == ("m0", "m1", "m2")
    statuses = [
        getattr(error, "status_code", None) or getattr(error.__cause__, "status_code", None)
        for error in raised.value.exceptions
    ]
    assert statuses[:2] == [500, 429]


async def test_the_next_member_is_called_where_failures_leave_too_few(server):
    members = {name: openai(server, "status-500") for name in ("a", "b", "c")}
    classifier = SelectLLMClassifier().fit(score_table([[1, 1, 0], [1, 0, 0]] * 6, members=list(members)))
    parser = VotingOutputParser(answer="choice")
    first = SelectLLMRouter(classifier=classifier, models=members, policy="single_best", parser=parser)
    assert first.decide("Which?").selected_members == ("a",)
    members["c"] = openai(server, ANSWER_B)
    message = await SelectLLMRouter(
        classifier=classifier, models=members, policy="single_best", parser=parser
    ).ainvoke("Which?")
    assert (told(message)["winner"], told(message)["topped_up"]) == ("c", ["b", "c"])
    assert list(told(message)["failures"]) == ["a", "b"]


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory):
    """A randomly initialised Llama with a byte-level vocabulary and a chat template, saved to disk."""
    pytest.importorskip("langchain_huggingface")
    pytest.importorskip("torch", reason="torch is not installed (extra `fine-tune`)")
    from transformers import PreTrainedTokenizerFast

    tokenizer = byte_tokenizer(["<s>", "</s>", "<pad>"])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    fast.chat_template = (
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    sizes = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    return save_llama(tmp_path_factory.mktemp("llama"), fast, **sizes)


@pytest.fixture(scope="module")
def huggingface(tiny_llama):
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    generate = pipeline(
        "text-generation",
        model=model,
        tokenizer=tokenizer,
        max_new_tokens=8,
        do_sample=False,
        return_full_text=False,
    )
    return ChatHuggingFace(llm=HuggingFacePipeline(pipeline=generate), tokenizer=tokenizer)


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "stream"])
async def test_local_weights_are_a_member_beside_an_api(server, huggingface, how):
    own = huggingface.invoke("Which?").text
    router = routed([huggingface, openai(server, ANSWER_B), openai(server, ANSWER_B)], answer="text")
    message = await call(router, how)
    assert message.text == "The answer is (B)."
    answers = told(message)["answers"]
    assert not told(message)["failures"]
    if how != "batch":
        assert answers["m0"] == (VotingOutputParser(answer="text").extract(own))
    # The local model counts no tokens, the API does.
    assert message.usage_metadata["total_tokens"] == 18


async def test_local_weights_leave_the_event_loop_free(huggingface):
    """ChatHuggingFace has no async form over a pipeline; the router runs it in a thread."""
    with pytest.raises(NotImplementedError):
        await huggingface.ainvoke("Which?")
    router = routed([huggingface], answer="text")
    task, beats = asyncio.create_task(router.ainvoke("Which?")), 0
    while not task.done():
        await asyncio.sleep(0.001)
        beats += 1
    assert not told(await task)["failures"]
    # Were the loop blocked, the task would be done at the first beat.
    assert beats > 1

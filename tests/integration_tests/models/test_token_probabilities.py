"""Token log-probabilities over the wire: collected, learned from and served, through real clients of providers."""

import gc
import math

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier, SelectLLMRouter, collect_outcomes
from langchain_selectllm.answers.token_probabilities import read_token_probabilities
from langchain_selectllm.collection.export import read_outcomes
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.routing.reply_tokens import WITHOUT_TOKENS
from tests.support.wire_server import WireServer
from tests.support.worlds import sure_table

pytestmark = pytest.mark.filterwarnings("ignore")

ANSWER_B = "says:The answer is (B)."
QUESTION = "Which?\n(A) one\n(B) two\n(C) three\n(D) four"


@pytest.fixture(scope="module")
def running_server():
    with WireServer().running() as running:
        yield running
    gc.collect()


@pytest.fixture
def server(running_server):
    """The server as it is at the beginning."""
    running_server.requests.clear()
    running_server.sure.clear()
    running_server.sends_logprobs = True
    return running_server


@pytest.fixture(autouse=True)
def keyless(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def pool_file(folder, server, provider="openai", suffix="/v1"):
    lines = ["members:"]
    for k, letter in enumerate("BBA"):
        lines.append(
            f'  m{k}: {{model: "{provider}:says:The answer is ({letter}).", base_url: "{server.url}{suffix}", '
            "logprobs: true}"
        )
    path = folder / "pool.yaml"
    path.write_text("\n".join(lines))
    return path


def figures_of(message):
    return read_token_probabilities(message.response_metadata, "B")


@pytest.mark.parametrize(("provider", "suffix"), [("openai", "/v1"), ("ollama", "")])
@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_clients_deliver_the_same_figures_whether_streamed_or_not(tmp_path, server, provider, suffix, how):
    pytest.importorskip(f"langchain_{provider}")
    model = ModelRegistry.from_file(pool_file(tmp_path, server, provider, suffix))["m0"].model
    if how == "invoke":
        message = model.invoke("Which?")
    else:
        first, *others = model.stream("Which?")
        message = sum(others, first)
    assert message.text == "The answer is (B)."
    found = figures_of(message)
    assert found.answers == pytest.approx({"B": math.log(0.75), "A": math.log(0.125)})
    assert (found.answer, found.answer_mean) == ("B", pytest.approx(math.log(0.75)))
    # Shares 3/4, 1/8 and the remaining 1/8.
    assert found.answer_entropy == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(8))


def test_collected_replies_keep_their_figures(tmp_path, server):
    pytest.importorskip("langchain_openai")
    store = f"sqlite:///{tmp_path}/outcomes.db"
    queries = [{"query_id": f"q{i}", "query": f"{QUESTION} {i}", "reference": "B"} for i in range(3)]
    collect_outcomes(pool_file(tmp_path, server), queries, store, samples=1)
    assert all(body["logprobs"] is True and body["top_logprobs"] == 5 for _, body in server.requests)
    table = read_outcomes(store)
    for cell, answers in zip(table.token_probabilities.ravel(), table.answers.ravel(), strict=True):
        assert cell[0].log_probability_of(answers[0]) == pytest.approx(math.log(0.75))


def test_a_router_is_as_sure_as_its_members_and_names_those_that_stop_sending(tmp_path, server):
    pytest.importorskip("langchain_openai")
    router = SelectLLMRouter(
        classifier=SelectLLMClassifier().fit(sure_table()),
        models=ModelRegistry.from_file(pool_file(tmp_path, server)),
        policy="learned:1",
    )
    confidences = []
    for share in (0.3, 0.97):
        for letter in "AB":
            server.sure[f"says:The answer is ({letter})."] = share
        message = router.invoke(QUESTION)
        told = message.response_metadata["selectllm"]
        confidences.append(told["confidence"])
        assert len(told["vote"]["token_probabilities"]["used"]) == 1
    assert confidences[1] > confidences[0] + 0.2
    server.sends_logprobs = False
    told = router.invoke(QUESTION).response_metadata["selectllm"]
    assert told["vote"]["strategy"] == WITHOUT_TOKENS
    assert told["vote"]["token_probabilities"]["used"] == []
    assert confidences[0] < told["confidence"] < confidences[1]
    assert np.isfinite(told["confidence"])

"""Token probabilities of live replies: the same confidence as in the replay, and a named fallback without them."""

import logging

import numpy as np
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_selectllm import SelectLLMClassifier, SelectLLMRouter
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.routing import request_log
from langchain_selectllm.routing.reply_tokens import WITHOUT_TOKENS
from langchain_selectllm.selection.policy_names import parse_policy
from tests.support.logprobs import chat_logprobs, entry
from tests.support.worlds import sure_table


class Recorded(BaseChatModel):
    """Repeats the recorded replies of one member, with the log-probability of its letter unless it is silent."""

    cells: dict
    silent: bool = False

    @property
    def _llm_type(self):
        return "recorded"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text, figures = self.cells[messages[-1].text]
        letter = figures.answer
        metadata = {}
        if not self.silent:
            logprob = figures.answers[letter]
            metadata["logprobs"] = chat_logprobs(
                entry("The answer is (", 0.0), entry(letter, logprob), entry(").", 0.0)
            )
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, response_metadata=metadata))])


@pytest.fixture(scope="module")
def fitted():
    # What the live replies hold: a mean over the tokens, and the answer's own.
    return SelectLLMClassifier().fit(sure_table())


@pytest.fixture(scope="module")
def unseen():
    return sure_table(n=40, seed=1)


def router(fitted, table, silent=(), policy="all_members"):
    models = {}
    for k, name in enumerate(table.members):
        cells = {}
        for i, text in enumerate(table.texts):
            cells[text] = (table.replies[i, k][0], table.token_probabilities[i, k][0])
        models[name] = Recorded(cells=cells, silent=name in silent)
    return SelectLLMRouter(classifier=fitted, models=models, policy=policy, early_stop=False)


def routed(message):
    return message.response_metadata["selectllm"]


@pytest.mark.parametrize("policy", ["learned:3", "learned:1"])
def test_a_router_is_as_confident_as_the_replay(fitted, unseen, policy):
    replay = Recording.of(unseen, fitted).replay_policy(policy, parse_policy(policy))
    metadata = [
        routed(message) for message in router(fitted, unseen, policy=policy).batch(list(unseen.texts))
    ]
    np.testing.assert_allclose([one["confidence"] for one in metadata], replay.confidence, rtol=1e-5)
    assert len(metadata[0]["vote"]["token_probabilities"]["used"]) == int(policy[-1])
    assert metadata[0]["vote"]["token_probabilities"]["missing"] == []
    assert metadata[0]["vote"]["strategy"] == "learned"


def test_a_provider_that_stops_sending_them_is_named_and_logged_once(fitted, unseen, caplog):
    request_log._WARNED.clear()
    silent = router(fitted, unseen, silent=fitted.members, policy="learned:3")
    with caplog.at_level(logging.WARNING):
        first, second = (routed(message) for message in silent.batch(list(unseen.texts[:2])))
    assert first["vote"]["strategy"] == second["vote"]["strategy"] == WITHOUT_TOKENS
    assert first["vote"]["token_probabilities"] == {"used": [], "missing": list(fitted.members)}
    warned = [record.getMessage() for record in caplog.records if "log-probabilities" in record.getMessage()]
    assert len(warned) == 3  # once per member, not per prompt
    assert first["confidence"] is not None
    assert 0 < first["confidence"] < 1


def test_one_silent_member_among_others_counts_without_a_shift(fitted, unseen):
    metadata = routed(router(fitted, unseen, silent=["m1"], policy="learned:3").invoke(unseen.texts[0]))
    assert metadata["vote"]["token_probabilities"] == {"used": ["m0", "m2"], "missing": ["m1"]}
    assert metadata["vote"]["strategy"] == "learned"

"""What LlamaIndex members report beside their text: why it ended, and tokens of caches and of reasoning."""

from enum import Enum
from types import SimpleNamespace

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.integrations.llama_index.reply_details import ending_of_response, usage_of
from tests.support.llamas import ScriptedLlama, ask, every_mode, make

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


class Google(Enum):
    MAX_TOKENS = "MAX_TOKENS"


class CutOffLlama(ScriptedLlama):
    """Reports that each reply was cut off; in a stream, before its last piece, as OpenAI does."""

    def _reply(self, messages, **settings):
        response = super()._reply(messages, **settings)
        choice = SimpleNamespace(finish_reason="length", message=SimpleNamespace(refusal=None))
        return response.model_copy(update={"raw": SimpleNamespace(choices=[choice], usage=USAGE)})

    def stream_chat(self, messages, **kwargs):
        def pieces():
            response = self._reply(messages, **kwargs)
            yield response.model_copy(update={"delta": response.message.content})
            yield response.model_copy(update={"delta": "", "raw": {"choices": [], "usage": USAGE}})

        return pieces()


def response(raw, **additional):
    message = ChatMessage(blocks=[TextBlock(text="x")], additional_kwargs=additional)
    return ChatResponse(message=message, raw=raw)


@every_mode
def test_cut_off_replies_of_llama_index_members_abstain(fitted, mode):
    names = ("calculator", "clockmaker", "generalist")
    cut_off = {name: CutOffLlama("Let me think. 17 * 20 = 340") for name in names}
    complete = {name: ScriptedLlama("The answer is 357.") for name in ("guesser", "reader")}
    llm = make(fitted, {**cut_off, **complete}, parser=VotingOutputParser(answer="number"))
    found, text = ask(llm, mode)
    assert text == "The answer is 357."
    assert found.raw["selectllm"]["abstentions"] == dict.fromkeys(names, "cut off")


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat"])
def test_a_streamed_reply_says_why_it_ended_though_its_last_piece_does_not(fitted, mode):
    members = {name: CutOffLlama("17 * 20 = 340") for name in fitted.members}
    llm = make(fitted, members, policy="single_best", parser=VotingOutputParser(answer="number"))
    told = ask(llm, mode)[0].additional_kwargs["selectllm"]
    assert list(told["abstentions"].values()) == ["cut off"]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (response(SimpleNamespace(choices=[SimpleNamespace(finish_reason="content_filter")])), "content_filter"),
        (response({"choices": [{"finish_reason": "stop", "message": {"refusal": "I cannot."}}]}), "refusal"),
        (response(SimpleNamespace(incomplete_details=SimpleNamespace(reason="max_output_tokens"))), "max_output_tokens"),
        (response(None, refusal="I cannot."), "refusal"),
        (response({"stop_reason": "refusal"}), "refusal"),
        (response({"stopReason": "max_tokens"}), "max_tokens"),
        (response({"done_reason": "length"}), "length"),
        (response({"finish_reason": Google.MAX_TOKENS}), "MAX_TOKENS"),
        (response({"choices": [], "incomplete_details": None}), None),
        (response(None), None),
    ],
)  # fmt: skip
def test_the_finish_reason_is_found_where_its_provider_puts_it(found, reason):
    assert ending_of_response(found) == ({} if reason is None else {"finish_reason": reason})


@pytest.mark.parametrize(
    ("usage", "tokens", "inputs", "outputs"),
    [
        (USAGE, (10, 4), None, None),
        (
            {
                **USAGE,
                "prompt_tokens_details": SimpleNamespace(cached_tokens=8),
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 4),
            {"cache_read": 8, "cache_creation": 0},
            {"reasoning": 3},
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": 8},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 4),
            {"cache_read": 8, "cache_creation": 0},
            {"reasoning": 3},
        ),
        # Anthropic's input tokens leave out those of the cache.
        (
            {
                "input_tokens": 2,
                "output_tokens": 4,
                "cache_read_input_tokens": 5,
                "cache_creation_input_tokens": 3,
            },
            (10, 4),
            {"cache_read": 5, "cache_creation": 3},
            None,
        ),
    ],
)
@pytest.mark.parametrize("shape", [dict, lambda usage: SimpleNamespace(**usage)], ids=["mapping", "object"])
def test_tokens_of_caches_and_of_reasoning_are_counted(shape, usage, tokens, inputs, outputs):
    found = usage_of(response({"usage": shape(usage)}))
    assert (found["input_tokens"], found["output_tokens"], found["total_tokens"]) == (*tokens, sum(tokens))
    assert (found.get("input_token_details"), found.get("output_token_details")) == (inputs, outputs)


def test_a_reply_whose_tokens_nobody_counts_has_no_usage():
    assert usage_of(response(None)) is None

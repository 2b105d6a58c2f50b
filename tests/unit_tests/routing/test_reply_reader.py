import pytest
from langchain_core.messages import AIMessage

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.answers.number import NumberExtractor
from langchain_selectllm.answers.text import TextExtractor
from langchain_selectllm.routing.reply_reader import ReplyReader
from tests.support.message_models import message_models
from tests.support.routers import as_facade, call, make_router, metadata_of

SORRY = AIMessage("I'm sorry, but I can't help with that.", additional_kwargs={"refusal": "I can't."})
PARIS = AIMessage("Paris")


def test_refusals_in_every_form_abstain():
    read = ReplyReader.of(TextExtractor()).read
    block = AIMessage([{"type": "refusal", "refusal": "I can't."}])
    for refusal in (SORRY, block, AIMessage("No.", response_metadata={"stop_reason": "refusal"})):
        assert read(refusal) is None
    assert read(PARIS) == "paris"


def test_tool_calls_that_were_cut_off_abstain():
    tool_call = {"name": "add", "args": {"a": 1}, "id": "1"}
    complete = AIMessage("", tool_calls=[tool_call], response_metadata={"finish_reason": "tool_calls"})
    cut_off = complete.model_copy(update={"response_metadata": {"finish_reason": "length"}})
    read = ReplyReader.of(NumberExtractor()).read
    assert (read(complete) is None, read(cut_off)) == (False, None)


@pytest.mark.parametrize("facade", ["router", "chat"])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
def test_three_equal_refusals_neither_win_nor_cancel_the_others(fitted, facade, mode):
    models = message_models(calculator=SORRY, clockmaker=SORRY, generalist=SORRY, guesser=PARIS, reader=PARIS)
    router = make_router(fitted, models, parser=VotingOutputParser(), early_stop=True)
    message = call(as_facade(router, facade), "Which city?", mode)
    told = metadata_of(message)
    assert message.text == "Paris"
    # The last of the five calls is given up when two replies agree and only one is outstanding.
    assert set(told["answers"].values()) == {None, "paris"}
    assert set(told["supporters"]) == {"guesser", "reader"}


def test_replies_that_were_cut_off_elect_no_number_they_did_not_state(fitted):
    cut_off = AIMessage("Let me think. 17 * 20 = 340", response_metadata={"finish_reason": "length"})
    done = AIMessage("The answer is 357.", response_metadata={"finish_reason": "stop"})
    models = message_models(
        calculator=cut_off, clockmaker=cut_off, generalist=cut_off, guesser=done, reader=done
    )
    router = make_router(fitted, models, parser=VotingOutputParser(answer="number"))
    assert metadata_of(router.invoke("What is 17 * 21?"))["answer"] == "357"

import re
import threading

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_selectllm import (
    JudgeVote,
    MajorityVote,
    Member,
    SelectLLMRouter,
    VotingOutputParser,
)
from langchain_selectllm.testing import ReplayChatModel
from tests.support.fitted import three_members
from tests.support.routers import metadata_of
from tests.support.waiting import DEADLINE_S, OVERDUE

REPLIES = ["Apples are red.", "Apples are blue.", "Apples can be red, green or yellow."]


def judge(choose, seen=None):
    """A judge that replies what `choose` makes of the numbered answers in its prompt."""

    def rule(messages):
        text = messages[-1].text
        if seen is not None:
            seen.append(text)
        answers = {
            body: int(n)
            for n, body in re.findall(r'<answer number="(\d+)">\n(.*?)\n</answer>', text, re.DOTALL)
        }
        return AIMessage(
            choose(answers), usage_metadata={"input_tokens": 100, "output_tokens": 1, "total_tokens": 101}
        )

    return RunnableLambda(rule)


def longest(answers):
    return f"Number {answers[max(answers, key=len)]}"


def routed(model, replies=REPLIES, **kwargs):
    models = {f"m{k}": ReplayChatModel(model=f"m{k}", default=reply) for k, reply in enumerate(replies)}
    parser = VotingOutputParser(answer="text", vote=JudgeVote(model))
    return SelectLLMRouter(
        classifier=three_members(), models=models, policy="all_members", parser=parser, **kwargs
    )


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "abatch"])
async def test_the_judge_decides_among_the_members_replies(how):
    router = routed(judge(longest))
    match how:
        case "invoke":
            message = router.invoke("Which colour?")
        case "ainvoke":
            message = await router.ainvoke("Which colour?")
        case "batch":
            (message,) = router.batch(["Which colour?"])
        case _:
            (message,) = await router.abatch(["Which colour?"])
    assert message.text == REPLIES[2]
    assert (metadata_of(message)["winner"], metadata_of(message)["vote"]["decided_by"]) == ("m2", "judge")
    assert metadata_of(message)["vote"]["judge"]["ruling"] == "apples can be red, green or yellow"
    assert metadata_of(message)["confidence"] is None


def test_the_judge_sees_the_question_and_whole_replies_in_an_order_of_their_own():
    seen = []
    parser = VotingOutputParser(answer="text", vote=JudgeVote(judge(longest, seen)))
    parser.count(REPLIES, "Which colour?")
    parser.count(REPLIES[::-1], "Which colour?")
    assert seen[0] == seen[1]
    assert "<question>\nWhich colour?\n</question>" in seen[0]
    assert all(reply in seen[0] for reply in REPLIES)


def test_the_judges_tokens_are_counted_once():
    router = routed(judge(longest))
    alone = [len(reply) // 4 for reply in REPLIES]
    assert router.invoke("Which colour?").usage_metadata["output_tokens"] == sum(alone) + 1


def test_the_judges_price_is_part_of_the_cost():
    member = Member(judge(longest), price_input_usd_per_million=1.0, price_output_usd_per_million=10.0)
    router = routed(member)
    free = {name: Member(router.models[name].model, 0.0, 0.0) for name in router.models}
    router = SelectLLMRouter(
        classifier=router.classifier, models=free, policy="all_members", parser=router.parser
    )
    assert metadata_of(router.invoke("Which colour?"))["cost_usd"] == pytest.approx((100 * 1 + 1 * 10) / 1e6)
    assert metadata_of(routed(judge(longest)).invoke("Which colour?"))["cost_usd"] is None


def test_a_single_candidate_needs_no_judge():
    seen = []
    message = routed(judge(longest, seen), replies=["Red.", "red", "Red"]).invoke("Which colour?")
    assert not seen
    assert (metadata_of(message)["answer"], metadata_of(message)["vote"]["decided_by"]) == ("red", "vote")
    assert "judge" not in metadata_of(message)["vote"]


@pytest.mark.parametrize(
    ("choose", "failure"),
    [
        (lambda _: "All are fine.", "it named none of the 3 answers"),
        (lambda _: "7", "it named none"),
        (lambda _: 1 / 0, "ZeroDivision"),
    ],
)
async def test_without_a_ruling_the_members_decide_and_the_result_says_so(choose, failure):
    for message in (routed(judge(choose)).invoke("x"), await routed(judge(choose)).ainvoke("x")):
        assert message.text == REPLIES[0]
        assert metadata_of(message)["vote"]["decided_by"] == "vote, because the judge gave no ruling"
        assert failure in metadata_of(message)["vote"]["judge"]["failure"]
    tally = VotingOutputParser(answer="text", vote=JudgeVote(judge(choose), otherwise=MajorityVote())).count(
        REPLIES
    )
    assert (tally.winner, tally.decided_by) == ("sample 1", "vote")
    assert tally.explanation == "vote, because the judge gave no ruling"


@OVERDUE.call
def judge_hangs(_):
    """The reply though the judge hangs, and whether the judge was waited for."""
    release, ended = threading.Event(), []
    hanging = RunnableLambda(lambda _: ended.append(release.wait()))
    message, waited_for = routed(hanging, deadline_s=DEADLINE_S).invoke("x"), list(ended)
    release.set()
    return message, waited_for


def test_a_judge_that_hangs_is_given_up_at_the_deadline(overdue):
    message, waited_for = overdue(judge_hangs)
    assert waited_for == []
    assert "DeadlineError" in metadata_of(message)["vote"]["judge"]["failure"]


async def test_the_parser_alone_asks_the_judge_too():
    parser = VotingOutputParser(answer="text", vote=JudgeVote(judge(longest)))
    for tally in (parser.invoke(REPLIES), await parser.ainvoke(REPLIES), parser.count(REPLIES)):
        assert (tally.winner, tally.decided_by, tally.vote) == ("sample 3", "judge", "judge")


def test_the_judge_is_a_child_run_with_a_tag_of_its_own():
    from langchain_core.tracers.base import BaseTracer

    class Recorder(BaseTracer):
        def _persist_run(self, run):
            self.root = run

    recorder = Recorder()
    routed(judge(longest)).invoke("x", {"callbacks": [recorder]})
    tags = [child.tags for child in recorder.root.child_runs]
    assert sum("selectllm:judge" in tag for tag in tags) == 1
    assert len(tags) == 4

"""Votes over programs."""

import pytest

from langchain_selectllm import VotingOutputParser

ADD = '```python\ndef add(a, b):\n    """Add two numbers."""\n    return a + b  # the sum\n```'
SAME_ADD = "```py\ndef add(a: int, b: int) -> int:\n  return a+b\n```"
OTHER_ADD = "```python\ndef add(a, b):\n    return b + a\n```"


def test_three_members_vote_over_code():
    tally = VotingOutputParser(answer="code").count({"a": ADD, "b": OTHER_ADD, "c": SAME_ADD})
    assert (tally.winner, tally.support, tally.decided_by) == ("a", pytest.approx(2 / 3), "vote")


def test_when_no_two_programs_agree_the_result_says_so():
    tally = VotingOutputParser(answer="code").count([ADD, OTHER_ADD])
    assert (tally.winner, tally.decided_by) == ("sample 1", "no two replies agree")


def test_a_program_that_does_not_parse_abstains():
    tally = VotingOutputParser(answer="code").count(["```python\ndef f(:\n```"])
    assert tally.decided_by == "no readable answer"

"""The vote over candidates outside a router, where every candidate weighs the same."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_selectllm.fanout.deadlines import Limits
from langchain_selectllm.fanout.member_calls import MemberCalls, Scope
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.election_terms import ElectionTerms
from langchain_selectllm.routing.judge import call_judge, call_judge_async
from langchain_selectllm.routing.reply_reader import Reply, ReplyReader
from langchain_selectllm.voting.tally import Tally
from langchain_selectllm.voting.votes import VoteStrategy

Candidate = str | BaseMessage | Generation
Candidates = Candidate | Mapping[str, Candidate] | Sequence[Candidate]


def open_election(
    candidates: Candidates, *, vote: VoteStrategy, reader: ReplyReader, query: str | None
) -> Election:
    """The election with every candidate in it: one, those of a dict by name, or the samples of a list."""
    named = _named(candidates)
    terms = ElectionTerms(
        members=tuple(named),
        probabilities=np.full(len(named), 0.5),
        vote=vote,
        reader=reader,
        query=query,
    )
    election = Election(terms)
    for member, candidate in enumerate(named.values()):
        election.add(member, _reply(candidate))
    return election


def judged(election: Election, scope: Scope) -> Tally:
    """The tally of an election, after its judge was called where it asks for one."""
    request = election.request_judge()
    if request is not None:
        call_judge(request, MemberCalls({}, "", {}, scope), Limits())
    return election.tally()


async def judged_async(election: Election, scope: Scope) -> Tally:
    """The tally of `judged`."""
    if election.is_slow:
        request = await asyncio.to_thread(election.request_judge)
    else:
        request = election.request_judge()
    if request is not None:
        await call_judge_async(request, MemberCalls({}, "", {}, scope), Limits())
    return election.tally()


def _named(candidates: Candidates) -> dict[str, Candidate]:
    if isinstance(candidates, Mapping):
        return dict(candidates)
    several = candidates
    if isinstance(several, str | BaseMessage | Generation):
        several = [several]
    named: dict[str, Candidate] = {}
    for number, candidate in enumerate(several, start=1):
        named[f"sample {number}"] = candidate
    return named


def _reply(candidate: Candidate) -> Reply:
    if isinstance(candidate, ChatGeneration):
        return candidate.message
    if isinstance(candidate, Generation):
        return candidate.text
    if isinstance(candidate, str | BaseMessage):
        return candidate
    raise TypeError(
        f"A candidate is a {type(candidate).__name__}. Give texts, messages or generations, in a list or a "
        "dict by name."
    )

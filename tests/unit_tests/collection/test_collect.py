"""Limits, the budget, the plan and the store of a collection, without a server."""

import asyncio
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_selectllm import Member, acollect_outcomes, collect_outcomes, grade_outcomes
from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.plan import plan_collection
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.store_thread import StoreThread
from langchain_selectllm.collection.worker_pool import work_through
from langchain_selectllm.exceptions import MissingDependencyError, OutcomeError, PoolFileError, StoreError
from langchain_selectllm.members.pool_file import MemberSpec, PoolFile
from tests.support.live_models import CountingModel
from tests.support.message_models import message_models

QUERIES = [{"query_id": f"q{i}", "query": f"question {i}"} for i in range(10)]
QUICK = RetryPolicy(max_attempts=3, base_s=0.001, max_s=0.002)


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/outcomes.db"


@settings(max_examples=25, deadline=None)
@given(costs=st.lists(st.floats(0, 1), max_size=30), limit=st.floats(0, 5), at_a_time=st.integers(1, 8))
def test_the_budget_is_never_passed_and_not_left_unspent(costs, limit, at_a_time):
    async def spend_all():
        budget, refused = Budget(limit, 0.0), False

        async def items():
            for cost in costs:
                yield cost

        async def spend(cost):
            nonlocal refused
            async with budget.spend(1.0) as expense:
                if expense is None:
                    refused = True
                    return
                await asyncio.sleep(0)
                expense.cost_usd = cost

        await work_through(items(), spend, at_a_time=at_a_time, is_over=lambda: False)
        return budget.spent_usd, refused

    spent, refused = asyncio.run(spend_all())
    assert spent <= limit + 1e-9
    # A call is only refused when it might have passed the limit with nothing else in flight.
    assert spent > limit - 1.0 - 1e-9 if refused else spent == pytest.approx(sum(costs))


async def test_rows_are_saved_in_batches_and_every_save_returns_after_its_commit():
    batches = []
    async with StoreThread(lambda rows: batches.append(list(rows))) as thread:
        await asyncio.gather(*(thread.save(i) for i in range(100)))
        assert sorted(row for batch in batches for row in batch) == list(range(100))
    assert len(batches) < 100


async def test_a_row_is_saved_even_when_its_caller_was_cancelled():
    saved = []
    async with StoreThread(saved.extend) as thread:
        saving = asyncio.create_task(thread.save("paid for"))
        await asyncio.sleep(0)
        saving.cancel()
    assert saved == ["paid for"]


async def test_a_full_disk_ends_the_collection_with_one_clear_error(store, monkeypatch):
    def full(self, rows):
        raise StoreError("No space left on device.")

    monkeypatch.setattr("langchain_selectllm.collection.store.OutcomeStore.save_replies", full)
    with pytest.raises(StoreError, match="No space left"):
        await acollect_outcomes({"m": CountingModel()}, QUERIES, store, samples=1)


def test_attempts_are_counted_and_the_last_error_is_kept(store):
    model = CountingModel(
        answer=lambda prompt, n: "fine" if n == 2 and "7" not in prompt else ValueError(f"attempt {n + 1}")
    )
    breaker = BreakerPolicy(failures=1000)
    collected = collect_outcomes({"m": model}, QUERIES, store, samples=1, retry=QUICK, breaker=breaker)
    assert (collected.members[0].done, collected.members[0].failed) == (9, 1)
    with open_store(store) as opened:
        assert [row["attempts"] for row in opened.read_replies()] == [3] * 9
        (failure,) = opened.read_failures()
        assert (failure["query_id"], failure["error"], failure["attempts"]) == (
            "q7",
            "ValueError: attempt 3",
            3,
        )


def test_no_more_calls_are_in_flight_than_the_member_takes(store):
    flying, most = 0, 0

    class Watched(CountingModel):
        async def _agenerate(self, *arguments, **kwargs):
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            try:
                return await super()._agenerate(*arguments, **kwargs)
            finally:
                flying -= 1

    # Registered in Python, a member takes 16 at a time.
    collect_outcomes({"m": Watched(delay_s=0.01)}, QUERIES, store, samples=5)
    assert most == 16


def test_a_reply_that_does_not_say_what_it_took_counts_as_the_most_it_can_have_taken(store):
    model = CountingModel(usage=False, max_tokens=None)
    member = Member(model, 1000.0, 1000.0)
    with pytest.raises(PoolFileError, match="Member 'm' has no bound on the cost of a call"):
        collect_outcomes({"m": member}, QUERIES, store, max_cost_usd=1)
    with pytest.raises(ValueError, match="max_cost_usd is -1"):
        collect_outcomes({"m": member}, QUERIES, store, max_cost_usd=-1)


def test_the_plan_counts_what_is_missing_and_what_that_would_cost(store):
    pool = {"priced": Member(CountingModel(), 2.0, 4.0), "free": CountingModel(model="free")}
    plan = plan_collection(pool, QUERIES, store, samples=3)
    assert [(member.calls, member.expected_usd) for member in plan.members] == [(30, None), (30, None)]
    assert plan.expected_usd is None
    collect_outcomes({"priced": pool["priced"]}, QUERIES[:4], store, samples=3)
    plan = plan_collection({"priced": pool["priced"]}, QUERIES, store, samples=3)
    # 18 calls of 10 characters (2.5 tokens at 2 dollars a million) and 5 recorded output tokens at 4 dollars.
    assert plan.calls == 18
    assert plan.expected_usd == pytest.approx(18 * (2.5 * 2 + 5 * 4) / 1e6)
    assert plan.members[0].most_usd is None


def test_progress_is_told_and_ends_with_the_whole(store):
    seen = []
    collect_outcomes(
        {"m": CountingModel(delay_s=0.05)},
        QUERIES,
        store,
        samples=10,
        progress=lambda members: seen.append(members[0].done),
    )
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == 100


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("outcomes", "'outcomes' is no database URL"),
        ("sqlite://", "'sqlite://' cannot be a store. Use a file"),
        ("mysql://user:secret@host/db", r"'mysql://user:\*\*\*@host/db' cannot be a store"),
        ("sqlite:////nowhere/at/all/outcomes.db", "cannot be opened as a store of outcomes: unable to open"),
    ],
)
def test_a_url_that_is_no_store_is_refused(url, message):
    with pytest.raises(StoreError, match=message):
        open_store(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "outcomes.db").write_text("something else entirely, and long enough to be looked at" * 20)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(f"sqlite:///{tmp_path}/outcomes.db")


def test_settings_out_of_range_are_refused(store):
    with pytest.raises(ValueError, match="samples is 0. Use an integer from 1"):
        collect_outcomes({"m": CountingModel()}, QUERIES, store, samples=0)
    with pytest.raises(ValueError, match="engine is 'spark'. Use one of local, ray"):
        collect_outcomes({"m": CountingModel()}, QUERIES, store, engine="spark")
    with pytest.raises(OutcomeError, match="There is no query"):
        collect_outcomes({"m": CountingModel()}, [], store)
    with pytest.raises(OutcomeError, match="query_id 'q0' was recorded before"):
        collect_outcomes({"m": CountingModel()}, [*QUERIES, {"query_id": "q0", "query": "another"}], store)


def test_ray_shards_divide_the_limits_of_a_member():
    from langchain_selectllm.collection.inputs import PoolMember, read_queries
    from langchain_selectllm.collection.ray_engine import split_member

    spec = MemberSpec(model="x", max_concurrency=5, requests_per_second=30.0)
    member = PoolMember(
        name="m",
        spec=spec,
        registered=Member(CountingModel()),
        parameters=spec.parameters,
        is_described=True,
    )
    shards = split_member(member, read_queries(QUERIES), 3)
    assert [shard.spec.max_concurrency for shard in shards] == [2, 2, 1]
    assert [shard.spec.requests_per_second for shard in shards] == [10, 10, 10]
    assert sorted(query.query_id for shard in shards for query in shard.queries) == [
        query["query_id"] for query in QUERIES
    ]
    # A piece without a call in flight would never end.
    assert len(split_member(member, read_queries(QUERIES), 20)) == 5


def test_without_its_packages_collecting_says_what_to_install():
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from langchain_selectllm import *\n"
        "from langchain_selectllm.collection.open_store import open_store\n"
        "try: open_store('sqlite:///x.db')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.search(
        r'A store of outcomes needs sqlalchemy. Install it: pip install ".+\[collect\]', done.stdout
    )
    assert issubclass(MissingDependencyError, ImportError)


def test_a_pool_needs_a_member():
    with pytest.raises(ValueError, match="at least 1 item"):
        PoolFile(members={})


def test_a_refusal_is_kept_as_such_and_graded_as_an_abstention(store):
    refusal = AIMessage("I can't help.", additional_kwargs={"refusal": "I can't help."})
    queries = [{"query_id": "q0", "query": "?", "reference": "I can't help.", "answer_type": "text"}]
    collect_outcomes(message_models(careful=refusal), queries, store, samples=1)
    with open_store(store) as opened:
        assert [row["finish_reason"] for row in opened.read_replies()] == ["refusal"]
    assert grade_outcomes(store).members["careful"].mean == 0.0
